"""openid-client, an OpenID-certified relying party, signs people in to the running platform through the gateway."""

import json
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from ops.testing import LivePlatform
from tests.journeys.people import Studio
from tests.third_parties import node

pytestmark = [pytest.mark.platform, pytest.mark.long, pytest.mark.timeout(300)]

NAME = "openid_client"
CALLBACK = "https://app.example/callback"
SIGN_IN = ["openid", "profile", "email", "offline_access"]
CODE = ["authorization_code", "refresh_token"]
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_openid_client_signs_in_renews_examines_and_ends(studio: Studio, platform: LivePlatform) -> None:
    person, key = studio.newcomer("Ada"), ECKey.generate_key("P-256", {"kid": "one"})

    def registered(**members: object) -> dict[str, object]:
        body = {"name": "Cinémathèque", "grants": CODE, "scopes": SIGN_IN, "redirect_uris": [CALLBACK], **members}
        made = studio.administrator.post("/admin/oauth/clients", body, status=201)
        return {"id": made["client"]["id"], "secret": made["client_secret"], "redirect_uri": CALLBACK}

    clients = {
        "web": registered(method="client_secret_basic", post_logout_redirect_uris=[CALLBACK]),
        "post": registered(method="client_secret_post", post_logout_redirect_uris=[CALLBACK]),
        "native": registered(
            method="none", application_type="native", redirect_uris=["http://127.0.0.1/callback"], bound_tokens=True
        ),
        "machine": {
            **registered(
                method="private_key_jwt",
                grants=["client_credentials"],
                scopes=["tasks:read"],
                redirect_uris=[],
                keys={"keys": [key.as_dict(private=False)]},
            ),
            "jwk": key.as_dict(private=True),
        },
        "device": registered(method="none", application_type="native", grants=[DEVICE, "refresh_token"], redirect_uris=[]),
    }
    token = person.authorization["Authorization"].removeprefix("Bearer ")

    seen = node.run(NAME, "sign_in.mjs", {"issuer": platform.origin, "token": token, "clients": clients})

    for name in ("web", "post"):
        client, told = clients[name], seen[name]
        assert (told["claims"]["sub"], told["claims"]["aud"]) == (person.id, client["id"])
        assert told["scope"] == "openid profile email offline_access"
        assert (told["info"]["name"], told["info"]["email"]) == ("Ada", person.email)
        assert (told["active"]["active"], told["after"], told["refused"]) == (True, {"active": False}, "invalid_grant")
    assert seen["question"]["client_name"] == "Cinémathèque"
    assert seen["native"] == {"type": "dpop", "sub": person.id, "bare": "invalid_dpop_proof", "stolen": 401}
    assert seen["machine"] == {"scope": "tasks:read", "tasks": 200, "profile": 403}
    assert (seen["device"]["sub"], seen["device"]["question"]["scopes"]) == (person.id, ["openid", "offline_access"])
    left = httpx.get(seen["web"]["signOut"], trust_env=False)
    assert (left.status_code, left.headers["location"]) == (303, f"{CALLBACK}?state=bye")


def test_what_npm_installs_is_locked_and_names_no_registry() -> None:
    lock = json.loads((Path(node.HERE) / NAME / node.LOCK).read_text(encoding="utf-8"))

    packages = [each for path, each in lock["packages"].items() if path]
    assert packages
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in packages)
