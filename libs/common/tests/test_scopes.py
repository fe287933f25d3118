"""Tokens of other clients: they are for what they were given for, and for nothing else."""

from typing import Any

import pytest

from libs.common.auth.policy import OWN_CLIENT, SIGNED_IN, Access, Role, Scope, UndeclaredPolicy
from libs.common.http import Routes
from libs.common.ids import new_id
from libs.common.testing import a_subject
from libs.common.tests.conftest import Sample

OTHER = str(new_id())
NEEDED = 'Bearer realm="lumiere", error="insufficient_scope", scope="tasks:read"'


@pytest.mark.parametrize("claims", [{"client_id": OTHER, "scope": "openid tasks:read"}, {"scope": "tasks:read"}, {}])
def test_a_token_with_the_scope_of_the_route_passes_and_so_does_our_own_without_any(
    claims: dict[str, Any], sample: Sample
) -> None:
    assert sample.client(Role.ARTIST, **claims).get("/api/v1/scoped").status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": OTHER},
        {"client_id": OTHER, "scope": ""},
        {"client_id": OTHER, "scope": "openid profile"},
        {"client_id": OTHER, "scope": "tasks:readx xtasks:read tasks"},
        {"client_id": OWN_CLIENT, "scope": "openid"},
    ],
)
def test_a_token_for_less_is_refused_and_told_the_scope(claims: dict[str, Any], sample: Sample) -> None:
    refused = sample.client(Role.ARTIST, **claims).get("/api/v1/scoped")

    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (403, NEEDED)
    assert refused.get_json()["type"].endswith("/scope-required")


def test_a_route_that_names_no_scope_is_for_no_such_token_whatever_it_was_given_for(sample: Sample) -> None:
    everything = sample.client(Role.ADMIN, client_id=OTHER, scope=" ".join(Scope))

    assert everything.post("/api/v1/fresh").status_code == 403
    assert everything.delete(f"/api/v1/notes/{new_id()}").status_code == 403


def test_the_role_is_asked_for_as_well(sample: Sample) -> None:
    assert sample.client(Role.CREATOR, client_id=OTHER, scope="tasks:read").get("/api/v1/scoped").status_code == 403


def test_at_a_public_route_such_a_token_is_nobodys(sample: Sample) -> None:
    person = a_subject(Role.ADMIN)
    seen = [
        sample.client(subject=person, **claims).get("/api/v1/greeting").get_json()["id"]
        for claims in ({}, {"client_id": OTHER, "scope": " ".join(Scope)})
    ]

    assert seen == [str(person.id), "00000000-0000-0000-0000-000000000000"]


def test_a_client_that_speaks_for_itself_gets_only_where_that_is_declared(sample: Sample) -> None:
    client = a_subject(id=new_id())
    itself = sample.client(subject=client, client_id=str(client.id), scope="tasks:read")

    assert itself.get("/api/v1/catalogue").status_code == 200
    assert itself.get("/api/v1/scoped").status_code == 403
    assert itself.post("/api/v1/fresh").status_code == 403


@pytest.mark.parametrize("scope", ["Tasks:read", "tasks:read  openid", " openid", 'open"id', "tasks:read,openid"])
def test_a_scope_that_is_not_written_as_one_makes_no_token(scope: str, sample: Sample) -> None:
    assert sample.client(Role.ARTIST, client_id=OTHER, scope=scope).get("/api/v1/scoped").status_code == 401


@pytest.mark.parametrize(
    ("allow", "scope", "machines"),
    [
        (Access.PUBLIC, Scope.TASKS_READ, False),
        (Access.SERVICE, Scope.TASKS_READ, False),
        (SIGNED_IN, None, True),
        (Role.ADMIN, Scope.TASKS_READ, True),
    ],
)
def test_a_scope_that_means_nothing_cannot_be_declared(allow: Access | Role, scope: Scope | None, machines: bool) -> None:
    def handler() -> None:
        """Nothing."""

    with pytest.raises(UndeclaredPolicy):
        Routes("sample").get("/x", allow=allow, scope=scope, machines=machines)(handler)
