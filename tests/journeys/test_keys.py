"""Keys of the running platform: those that sign its tokens, and those that its tokens may be bound to."""

import json
from collections.abc import Callable

import httpx
import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import ECKey

from gateway.manifest import GATEWAY
from gateway.tests.running import eventually
from libs.common.auth.policy import Role
from libs.common.testing import bound_to, prove
from ops import keys
from ops.testing import LivePlatform
from tests.journeys.doors import Doors, guarded_route_of_each_service
from tests.tokens import Forge

pytestmark = [pytest.mark.platform, pytest.mark.timeout(300)]

BITES_WITHIN_SECONDS = 1.0


TARGETS = list(guarded_route_of_each_service())


@pytest.fixture
def command(platform: LivePlatform, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`lumiere keys …` on the platform of the tests."""
    monkeypatch.setattr(keys, "this_platform", lambda: platform.operations)
    return lambda *arguments: CliRunner().invoke(keys.group, [*arguments, "--json"])


def statuses(doors: Doors, headers: dict[str, str]) -> set[int]:
    """What gateway and services answer to this token."""
    bases = [(doors.of(GATEWAY, each), each) for each in TARGETS] + [(doors.of("service", each), each) for each in TARGETS]
    return {doors.status(base, each, headers) for base, each in bases}


def test_a_key_that_is_withdrawn_opens_no_door_within_a_second_and_others_go_on(
    doors: Doors, command: Callable[..., Result]
) -> None:
    listed = json.loads(command("list").stdout)
    following = next(key["id"] for key in listed["keys"] if key["state"] == "PUBLISHED")
    stolen = {"Authorization": f"Bearer {doors.signed_by(following).token(Role.ADMIN)}"}
    kept = doors.bearer(Role.ADMIN)
    assert eventually(lambda: not statuses(doors, stolen) & {401, 403})

    answer = json.loads(command("withdraw", following).stdout)

    assert eventually(lambda: statuses(doors, stolen) == {401}, BITES_WITHIN_SECONDS)
    assert not statuses(doors, kept) & {401, 403}
    states = {key["id"]: key["state"] for key in answer["keys"]}
    assert (states[following], states[listed["signing"]]) == ("WITHDRAWN", "ACTIVE")
    assert list(states.values()).count("PUBLISHED") == 1
    refused = command("rotate")
    assert refused.exit_code == 1, "the key that comes next now is one that not everybody knows yet"


class Holder:
    """Somebody with a token that is bound to a key of theirs, at the gateway."""

    def __init__(self, platform: LivePlatform, forge: Forge) -> None:
        self.key = ECKey.generate_key("P-256")
        self.token = forge.token(Role.VIEWER, cnf=bound_to(self.key))
        self._origin = platform.origin

    def prove(self, path: str, key: ECKey | None = None, **changes: object) -> str:
        """A proof for a GET of this path."""
        return prove(key or self.key, "GET", f"{self._origin}{path}", self.token, **changes)

    def get(self, path: str, proof: str, base: str | None = None) -> httpx.Response:
        """A GET with the token and this proof, at the gateway or straight at a service."""
        headers = {"Authorization": f"DPoP {self.token}", "DPoP": proof}
        return httpx.get(f"{base or self._origin}{path}", headers=headers, timeout=30)


def test_a_bound_token_opens_doors_for_the_holder_of_its_key_alone(platform: LivePlatform, doors: Doors) -> None:
    path, other = "/api/v1/tasks", "/api/v1/notifications/count"
    holder = Holder(platform, doors.forge)
    used = holder.prove(path)

    assert holder.get(path, used).status_code == 200
    assert holder.get(other, holder.prove(other)).status_code == 200
    for base in (None, doors.straight("tasks")):
        for proof in (used, holder.prove(path, ECKey.generate_key("P-256")), holder.prove(other), holder.prove(path, iat=1)):
            refused = holder.get(path, proof, base)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'DPoP algs="ES256", error="invalid_dpop_proof"'
        assert holder.get(path, holder.prove(path), base).status_code == 200
