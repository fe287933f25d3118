"""The command line signs in by the device grant: what it asks, how patiently, and where it keeps what it was given."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from click.testing import CliRunner

from ops import signing_in
from ops.cli import main
from ops.errors import OperationError
from ops.signing_in import CLIENT_ID, Provider, sign_in
from services.auth.domain.clients import COMMAND_LINE

ORIGIN = "https://platform.example"
OFFER = {
    "device_code": "d",
    "user_code": "BDFG-HJKL",
    "verification_uri": f"{ORIGIN}/device",
    "verification_uri_complete": f"{ORIGIN}/device?user_code=BDFG-HJKL",
    "expires_in": 600,
    "interval": 5,
}
TOKENS = {"access_token": "a1", "refresh_token": "r1", "scope": "openid", "expires_in": 900}


class FakeProvider:
    """A fake platform that answers polls with what a test gives it."""

    def __init__(self, *polls: dict[str, object]) -> None:
        self.polls: Iterator[dict[str, object]] = iter(polls)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.revoked = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.url.path, dict(parse_qsl(request.content.decode()))))
        if request.url.path == "/oauth/device_authorization":
            return httpx.Response(200, json=OFFER)
        if request.url.path == "/oauth/revoke":
            return httpx.Response(self.revoked, json={})
        if request.url.path == "/oauth/userinfo":
            return httpx.Response(200, json={"sub": "1", "name": "Ada", "email": "ada@example.org"})
        answer = next(self.polls)
        return httpx.Response(200 if "access_token" in answer else 400, json=answer)

    def provider(self, origin: str = ORIGIN) -> Provider:
        return Provider(origin, httpx.Client(transport=httpx.MockTransport(self)))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's session is kept."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "lumiere" / "session"


def test_the_client_is_the_one_that_every_platform_knows() -> None:
    assert str(COMMAND_LINE) == CLIENT_ID


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have waited each time."""
    waited: list[float] = []
    monkeypatch.setattr(signing_in, "sleep", waited.append)
    return waited


def test_it_asks_no_more_often_than_it_is_told(pauses: list[float]) -> None:
    fake = FakeProvider({"error": "authorization_pending"}, {"error": "slow_down"}, {"error": "authorization_pending"}, TOKENS)

    kept = json.loads(sign_in(fake.provider(), "openid", lambda _: None))

    assert pauses == [5, 5, 10, 10]
    assert (kept["origin"], kept["refresh_token"]) == (ORIGIN, "r1")
    assert fake.seen[0] == ("/oauth/device_authorization", {"client_id": CLIENT_ID, "scope": "openid"})


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_grant"])
def test_who_is_not_let_in_is_told_what_to_do(error: str) -> None:
    with pytest.raises(OperationError, match="lumiere login"):
        sign_in(FakeProvider({"error": error}).provider(), "openid", lambda _: None)


@pytest.mark.parametrize("origin", ["http://platform.example", "ftp://platform.example", "platform.example"])
def test_tokens_never_cross_a_network_in_the_clear(origin: str) -> None:
    with pytest.raises(OperationError, match="https"):
        signing_in.provider_at(origin)


def test_a_session_is_kept_for_this_user_alone_and_ended_on_both_sides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeProvider(TOKENS)
    monkeypatch.setattr(signing_in, "provider_at", fake.provider)

    done = CliRunner().invoke(main, ["login", "--origin", ORIGIN, "--scope", "tasks:read"])

    assert done.exit_code == 0, done.output
    assert "BDFG-HJKL" in done.output
    assert fake.seen[0][1]["scope"] == "openid profile email offline_access tasks:read"
    assert (home.stat().st_mode & 0o777, home.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "Ada <ada@example.org>" in CliRunner().invoke(main, ["whoami"]).output
    assert CliRunner().invoke(main, ["logout"]).exit_code == 0
    assert fake.seen[-1] == ("/oauth/revoke", {"client_id": CLIENT_ID, "token": "r1"})
    assert not home.exists()
    assert CliRunner().invoke(main, ["whoami"]).exit_code == 1


def test_a_token_that_is_about_to_expire_is_renewed_and_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeProvider({**TOKENS, "access_token": "a2", "refresh_token": "r2"})
    monkeypatch.setattr(signing_in, "provider_at", fake.provider)
    signing_in.kept_in().write("session", json.dumps({**TOKENS, "origin": ORIGIN, "expires_at": 0}))

    assert CliRunner().invoke(main, ["whoami"]).exit_code == 0

    assert json.loads(home.read_text())["refresh_token"] == "r2"


def test_a_session_that_the_platform_did_not_end_is_forgotten_and_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeProvider()
    fake.revoked = 503
    monkeypatch.setattr(signing_in, "provider_at", fake.provider)
    signing_in.kept_in().write("session", json.dumps({**TOKENS, "origin": ORIGIN, "expires_at": 0}))

    done = CliRunner().invoke(main, ["logout"])

    assert (done.exit_code, home.exists()) == (1, False)
