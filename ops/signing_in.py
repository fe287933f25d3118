"""`lumiere login`, `logout` and `whoami`: a person signs the command line in at a platform, by the device grant (RFC 8628).

The tokens stand in one file that only this user may read; nothing else of this machine's platform is touched.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx

from libs.common import clock
from libs.common.auth.policy import Scope
from ops import console
from ops.command_line import json_option, this_platform, told
from ops.console import literal, out
from ops.errors import OperationError
from ops.vault import Vault

CLIENT_ID: Final = "0195561c-7800-7000-8000-6c756d696572"
"""The command line's own client, which every platform knows (services/auth/domain/clients.py)."""
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
ALWAYS: Final = (Scope.OPENID, Scope.PROFILE, Scope.EMAIL, Scope.OFFLINE_ACCESS)
MORE: Final = tuple(str(scope) for scope in Scope if scope not in ALWAYS)
SESSION: Final = "session"
TIMEOUT_SECONDS: Final = 10
SLOWER_SECONDS: Final = 5
RENEWED_BEFORE_SECONDS: Final = 30
"""An access token with less life than this is renewed first."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Provider:
    """A platform as the command line speaks with it."""

    origin: str
    http: httpx.Client

    def post(self, path: str, **form: str) -> httpx.Response:
        """Send a form as the command line's client. Raises OperationError when nobody answers."""
        return self._asked("POST", path, data={"client_id": CLIENT_ID, **form})

    def read(self, path: str, access_token: str) -> httpx.Response:
        """Read something as the person who signed in. Raises OperationError when nobody answers."""
        return self._asked("GET", path, headers={"Authorization": f"Bearer {access_token}"})

    def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self.http.request(method, self.origin + path, **options)
        except httpx.HTTPError as error:
            raise OperationError(f"{self.origin} does not answer ({type(error).__name__}); is that the platform?") from None


def provider_at(origin: str) -> Provider:
    """The platform at this origin. Raises OperationError when tokens would cross a network in the clear."""
    parts = urlsplit(origin)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise OperationError("Name the platform as https://…; without TLS anybody on the way could read the tokens.")
    return Provider(origin.rstrip("/"), httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False))


def kept_in() -> Vault:
    """Where the session of this user is kept."""
    return Vault(Path(click.get_app_dir("lumiere")))


def sign_in(provider: Provider, scope: str, show: Callable[[dict[str, Any]], None]) -> str:
    """Have a person type a code, and wait for their answer; returns the session as it is kept. Raises OperationError."""
    offered = _answer(provider.post("/oauth/device_authorization", scope=scope), "sign in")
    show(offered)
    interval, until = float(offered["interval"]), monotonic() + float(offered["expires_in"])
    while monotonic() < until:
        sleep(interval)
        answer = provider.post("/oauth/token", grant_type=DEVICE_GRANT, device_code=offered["device_code"])
        if answer.status_code == 200:
            return _session(provider, answer.json())
        waiting = _error(answer)
        if waiting == "slow_down":
            interval += SLOWER_SECONDS
        elif waiting != "authorization_pending":
            break
    raise OperationError("Nobody let this command line in. Run `lumiere login` again, and type the code while it waits.")


def _session(provider: Provider, tokens: dict[str, Any]) -> str:
    kept = {name: tokens[name] for name in ("access_token", "refresh_token", "scope")}
    return json.dumps({"origin": provider.origin, "expires_at": int(clock.epoch()) + tokens["expires_in"], **kept})


def _error(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error", answer.status_code))
    except ValueError:
        return str(answer.status_code)


def _answer(answer: httpx.Response, act: str) -> dict[str, Any]:
    if answer.status_code != 200:
        raise OperationError(f"The platform did not let this command line {act}: {_error(answer)}.")
    document: dict[str, Any] = answer.json()
    return document


def session() -> dict[str, Any]:
    """The session of this user. Raises OperationError when there is none."""
    path = kept_in().path(SESSION)
    if not path.exists():
        raise OperationError("Nobody is signed in here; run `lumiere login`.")
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def access_token(provider: Provider, kept: dict[str, Any]) -> str:
    """An access token with some life left: the one that is kept, or a new one, which is kept. Raises OperationError."""
    if kept["expires_at"] - clock.epoch() > RENEWED_BEFORE_SECONDS:
        return str(kept["access_token"])
    renewed = provider.post("/oauth/token", grant_type="refresh_token", refresh_token=kept["refresh_token"])
    if renewed.status_code != 200:
        raise OperationError("The session has ended; run `lumiere login` again.")
    kept_in().write(SESSION, _session(provider, renewed.json()))
    return str(renewed.json()["access_token"])


@click.command()
@click.option("--origin", default=None, metavar="URL", help="The platform; by default the one of this folder.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(MORE), help="What else the command line may do for you.")
@told
def login(origin: str | None, scopes: tuple[str, ...]) -> None:
    """Sign this command line in: it shows a code, and you type it where you are signed in with a browser."""
    provider = provider_at(origin or this_platform().layout.origin)
    kept = sign_in(provider, " ".join([*ALWAYS, *scopes]), _show)
    kept_in().write(SESSION, kept)
    out.print(f"[green]Signed in[/] at {literal(provider.origin)}. `lumiere logout` ends it.")


def _show(offered: dict[str, Any]) -> None:
    out.print(f"Open [bold]{literal(offered['verification_uri'])}[/] and type [bold]{literal(offered['user_code'])}[/]")
    out.print(f"[dim]or open {literal(offered['verification_uri_complete'])}[/]")


@click.command()
@told
def logout() -> None:
    """End the session of this command line, at the platform and here."""
    kept = session()
    provider = provider_at(kept["origin"])
    try:
        ended = provider.post("/oauth/revoke", token=kept["refresh_token"]).status_code == 200
    except OperationError:
        ended = False
    kept_in().path(SESSION).unlink()
    if not ended:
        raise OperationError(f"It is forgotten here, but {provider.origin} did not end it; do so on your dashboard there.")
    out.print("Signed out.")


@click.command()
@json_option
@told
def whoami(as_json: bool) -> None:
    """Say who is signed in with this command line, and at which platform."""
    kept = session()
    provider = provider_at(kept["origin"])
    told_by = _answer(provider.read("/oauth/userinfo", access_token(provider, kept)), "read who signed in")
    person = {"origin": provider.origin, "scope": kept["scope"], **told_by}
    if as_json:
        console.print_json(person)
    else:
        out.print(literal(f"{person['name']} <{person['email']}> at {person['origin']}"))
