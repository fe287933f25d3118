"""Both schemes of access tokens, and how recent a sign-in has to be."""

from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from gateway.tests.running import RunningGateway
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.testing import bound_to, prove

HOLDER = ECKey.generate_key("P-256")
DPOP = 'DPoP algs="ES256"'


def bound(gateway: RunningGateway, *roles: Role, **changes: Any) -> str:
    """A token that is bound to the holder's key."""
    return gateway.forge.token(*roles, cnf=bound_to(HOLDER), **changes)


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_a_bound_token_with_a_proof_passes_and_both_reach_the_service(
    scheme: str, client: httpx.Client, shared: RunningGateway
) -> None:
    token = bound(shared)
    proof = prove(HOLDER, "GET", "https://lumiere.test/api/v1/mine", token)

    answer = client.get("/api/v1/mine", headers={"Authorization": f"{scheme} {token}", "DPoP": proof})

    assert answer.status_code == 200
    seen = answer.json()["headers"]
    assert (seen["authorization"], seen["dpop"]) == (f"{scheme} {token}", proof)


def test_who_sends_nothing_is_told_of_both_schemes(client: httpx.Client) -> None:
    assert client.get("/api/v1/mine").headers["www-authenticate"] == f'Bearer realm="lumiere", {DPOP}'


def test_scheme_and_token_must_agree(client: httpx.Client, shared: RunningGateway) -> None:
    token = bound(shared)
    proof = prove(HOLDER, "GET", "https://lumiere.test/api/v1/mine", token)
    free = shared.forge.token()
    attempts = {
        f'{DPOP}, error="invalid_token"': [
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {token}", "DPoP": proof},
            {"Authorization": f"DPoP {free}", "DPoP": proof},
            {"Authorization": "DPoP x", "DPoP": proof},
            {"Authorization": f"DPoP {token[:-4]}", "DPoP": proof},
        ],
        f'{DPOP}, error="invalid_dpop_proof"': [{"Authorization": f"DPoP {token}"}],
    }

    for challenge, tried in attempts.items():
        for headers in tried:
            answer = client.get("/api/v1/mine", headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
    two = [("Authorization", f"DPoP {token}"), ("DPoP", proof), ("DPoP", proof)]
    assert client.get("/api/v1/mine", headers=two).status_code == 401


def test_a_refusal_of_a_role_comes_in_the_scheme_that_was_used(client: httpx.Client, shared: RunningGateway) -> None:
    refused = client.get("/api/v1/admin/things", headers={"Authorization": f"DPoP {bound(shared)}", "DPoP": "x"})

    assert (refused.status_code, refused.headers["www-authenticate"]) == (403, f'{DPOP}, error="insufficient_scope"')


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 200),
        ({"auth_time": -298}, 200),
        ({"auth_time": -302}, 401),
        ({"auth_time": None}, 401),
        ({"auth_time": "yesterday"}, 401),
    ],
)
def test_a_sensitive_route_wants_a_recent_sign_in(
    claims: dict[str, object], status: int, client: httpx.Client, shared: RunningGateway
) -> None:
    at = claims.get("auth_time", 0)
    changes = {"auth_time": int(clock.epoch()) + at} if isinstance(at, int) else claims

    answer = client.post("/api/v1/standing", headers=shared.bearer(Role.ADMIN, **changes))

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="lumiere", error="insufficient_user_authentication", max_age="300"'
        )
    assert client.get("/api/v1/admin/things", headers=shared.bearer(Role.ADMIN, **changes)).status_code == 200


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"amr": ["pwd", "otp", "mfa"]}, 200),
        ({"amr": ["mfa"]}, 200),
        ({"amr": ["pwd"]}, 401),
        ({"amr": ["pwd", "mfaa", "xmfa"]}, 401),
        ({"amr": "mfa"}, 401),
        ({"amr": None}, 401),
        ({"amr": ["pwd", "mfa"], "auth_time": 1}, 401),
    ],
)
def test_a_more_sensitive_route_wants_a_second_factor_too(
    claims: dict[str, object], status: int, client: httpx.Client, shared: RunningGateway
) -> None:
    answer = client.delete("/api/v1/standing", headers=shared.bearer(**claims))

    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == (
            'Bearer realm="lumiere", error="insufficient_user_authentication", max_age="300", acr_values="mfa"'
        )


def test_who_holds_no_role_enrols_and_does_nothing_else(client: httpx.Client, shared: RunningGateway) -> None:
    given = {path: client.get(f"/api/v1/{path}", headers=shared.bearer(roles="")) for path in ("enrolment", "mine", "echo")}

    assert {path: answer.status_code for path, answer in given.items()} == {"enrolment": 200, "mine": 403, "echo": 200}
    assert "second factor" in given["mine"].json()["detail"]
    assert client.get("/api/v1/mine", headers=shared.bearer(roles=None)).status_code == 403


def test_the_role_is_judged_before_the_age_of_the_sign_in(client: httpx.Client, shared: RunningGateway) -> None:
    assert client.post("/api/v1/standing", headers=shared.bearer(Role.VIEWER, auth_time=1)).status_code == 403


def test_a_step_up_asks_in_the_scheme_that_was_used(client: httpx.Client, shared: RunningGateway) -> None:
    headers = {"Authorization": f"DPoP {bound(shared, Role.ADMIN, auth_time=1)}", "DPoP": "x"}

    refused = client.post("/api/v1/standing", headers=headers).headers["www-authenticate"]

    assert refused == f'{DPOP}, error="insufficient_user_authentication", max_age="300"'
