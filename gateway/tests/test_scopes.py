"""Tokens of other clients at the gateway: the same rule as in the services (libs/common/tests/test_scopes.py)."""

from typing import Any

import httpx
import pytest

from gateway.tests.running import RunningGateway
from libs.common.auth.policy import Role, Scope
from libs.common.ids import new_id

OTHER = str(new_id())
CHALLENGE = 'Bearer realm="lumiere", error="insufficient_scope", scope="{}"'


def scoped(scope: str | None, **claims: Any) -> dict[str, Any]:
    """Claims of a token of another client."""
    return {"client_id": OTHER, "scope": scope, **claims}


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        (scoped("tasks:read"), 200),
        (scoped("openid tasks:read email"), 200),
        ({"scope": "tasks:read"}, 200),
        (scoped("openid email"), 403),
        (scoped(""), 403),
        (scoped(None), 403),
        (scoped("tasks:readx xtasks:read tasks"), 403),
        ({"client_id": None}, 403),
        ({"client_id": "lumiere2"}, 403),
        ({"scope": ""}, 403),
        ({"scope": "openid"}, 403),
    ],
)
def test_a_token_of_another_client_is_for_its_scope_alone(
    claims: dict[str, Any], status: int, client: httpx.Client, shared: RunningGateway
) -> None:
    answer = client.get("/api/v1/scoped", headers=shared.bearer(Role.ARTIST, **claims))

    assert answer.status_code == status
    if status == 403:
        assert answer.headers["www-authenticate"] == CHALLENGE.format("tasks:read")


def test_a_route_that_names_no_scope_is_for_no_such_token(client: httpx.Client, shared: RunningGateway) -> None:
    everything = shared.bearer(Role.ADMIN, **scoped(" ".join(Scope)))

    refused = [client.get(path, headers=everything) for path in ("/api/v1/mine", "/api/v1/admin/things")]

    assert [each.status_code for each in refused] == [403, 403]
    assert client.get("/api/v1/echo", headers=everything).status_code == 200


def test_the_role_is_judged_before_the_scope(client: httpx.Client, shared: RunningGateway) -> None:
    refused = client.get("/api/v1/scoped", headers=shared.bearer(Role.CREATOR, **scoped("tasks:read")))

    assert (refused.status_code, refused.headers["www-authenticate"]) == (
        403,
        'Bearer realm="lumiere", error="insufficient_scope"',
    )


def test_a_client_that_speaks_for_itself_gets_only_where_that_is_declared(client: httpx.Client, shared: RunningGateway) -> None:
    itself = shared.bearer(**scoped("tasks:read", sub=OTHER))

    assert client.get("/api/v1/catalogue", headers=itself).status_code == 200
    assert client.get("/api/v1/mine", headers=itself).status_code == 403
    assert (
        client.get("/api/v1/scoped", headers=shared.bearer(Role.ARTIST, **scoped("tasks:read", sub=OTHER))).status_code == 403
    )
