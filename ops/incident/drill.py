"""The credential-leak drill: steals on a platform of one's own, shuts what was stolen, and proves that it is dead.

Each credential is first shown to work, at the gateway and straight at a service, so that a refusal afterwards means something.
"""

import base64
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from time import monotonic
from typing import Any, Final
from uuid import UUID

from libs.common.ids import random_token
from ops.demo.client import API, Client, wait_for
from ops.demo.mailbox import verification_token
from ops.demo.report import Report, Step, StepFailed, expect
from ops.errors import OperationError
from ops.layout import Replica
from ops.lifecycle import Platform

PATH: Final = "/profile"
SERVICE: Final = "auth"
"""Whose web process is asked past the gateway; every service checks every token in the same way."""
PRODUCTION: Final = "production"


def require_rehearsal(platform: Platform) -> None:
    """Raises OperationError where a drill would hurt somebody: it withdraws the key that signs everybody's tokens."""
    if platform.layout.settings.lumiere_env == PRODUCTION:
        raise OperationError("This is production: a drill withdraws its signing key. Run it on a platform of your own.")


def drill(platform: Platform, report: Report) -> None:
    """All steps in order; a failed one ends the drill, because the rest stands on it."""
    with ExitStack() as stack, suppress(StepFailed):
        _Drill(platform, report, stack).run()


class _Drill:
    def __init__(self, platform: Platform, report: Report, stack: ExitStack) -> None:
        self.platform = platform
        self.report = report
        self.origin = platform.layout.origin
        self.inside = f"http://127.0.0.1:{platform.layout.replica_port(Replica(SERVICE, 'web', 1))}"
        self.stack = stack
        self.owner, self.owner_elsewhere, self.bystander, self.stolen = (self._client() for _ in range(4))

    def run(self) -> None:
        step = self.report.step
        with step("Two people of the drill's own have accounts"):
            email, password = self._person()
            self.owner.sign_in(email, password)
            self.owner_elsewhere.sign_in(email, password)
            self.bystander.sign_in(*self._person())
        with step("A session's tokens are stolen: they work, at the gateway and straight at a service"):
            self.stolen.tokens = dict(self.owner.tokens)
            self._works(self.stolen)
        with step("The operator revokes the session at the gateway: the access token is refused there") as now:
            self._until(now, self._revoke_at_gateway, lambda: self._status(self.stolen, self.origin) == 401)
        with step("Its owner ends the session from elsewhere: it is refused straight at the service too") as now:
            session = _claims(self.stolen)["sid"]
            end = f"/auth/sessions/{session}"
            self._until(
                now,
                lambda: self.owner_elsewhere.call("DELETE", end, status=204),
                lambda: self._status(self.stolen, self.inside) == 401,
            )
        with step("The stolen refresh token is dead: nobody gets a new access token from it"):
            self.stolen.call("POST", "/auth/refresh", status=401, json={"refresh_token": self.stolen.tokens["refresh_token"]})
        with step("The owner goes on in the other session"):
            self._works(self.owner_elsewhere)
        self._key()

    def _key(self) -> None:
        step = self.report.step
        forged = self._client()
        with step("The signing key is stolen: a token that it signed works, at the gateway and straight at a service") as now:
            forged.tokens = dict(self.bystander.tokens)
            self._works(forged)
            now.note = f"key {_header(forged)['kid']}"
        with step("The operator withdraws the key: whatever it signed is refused, at the gateway and behind it") as now:
            key = str(_header(forged)["kid"])
            self._until(
                now,
                lambda: self.platform.ask("auth", "keys", "withdraw", key, "--json"),
                lambda: {self._status(forged, base) for base in (self.origin, self.inside)} == {401},
            )
        with step("Everybody else refreshes once and works on, under a key that the thief does not have") as now:
            refresh = {"refresh_token": self.bystander.tokens["refresh_token"]}
            self.bystander.tokens = {}
            self.bystander.tokens = self.bystander.post("/auth/refresh", refresh)
            self._works(self.bystander)
            fresh = str(_header(self.bystander)["kid"])
            expect(fresh != key, "the new token is signed with the withdrawn key")
            now.note = f"key {fresh}"
        with step("What was stolen stays dead"):
            for thief in (self.stolen, forged):
                for base in (self.origin, self.inside):
                    expect(self._status(thief, base) == 401, f"a stolen token is believed again at {base}")

    def _client(self) -> Client:
        client = Client(self.origin)
        self.stack.callback(client.http.close)
        return client

    def _person(self) -> tuple[str, str]:
        email, password = f"drill-{random_token()[:12].lower().strip('-_')}@studio.example", random_token()
        body = {"email": email, "password": password, "display_name": "Somebody of the drill", "role": "VIEWER", "locale": "en"}
        anyone = self._client()
        anyone.post("/auth/register", body, status=202)
        token = wait_for("the e-mail", lambda: verification_token(self.platform.layout.mail, email))
        anyone.post("/auth/verify-email", {"token": token}, status=204)
        return email, password

    def _revoke_at_gateway(self) -> None:
        from gateway.containment import Containment
        from gateway.folder import Folder

        containment = Containment(Folder(self.platform.layout.gateway_folder))
        containment.revoke_session(UUID(str(_claims(self.stolen)["sid"])))
        containment.note("lumiere incident drill", "revoke session", session=str(_claims(self.stolen)["sid"]))

    def _works(self, holder: Client) -> None:
        for base in (self.origin, self.inside):
            status = self._status(holder, base)
            expect(status == 200, f"the token was answered {status} at {base} before anything was shut")

    def _status(self, holder: Client, base: str) -> int:
        return holder.http.get(f"{base}{API}{PATH}", headers=holder.authorization).status_code

    def _until(self, now: Step, act: Callable[[], Any], refused: Callable[[], bool]) -> None:
        act()
        begun = monotonic()
        wait_for("the refusal", lambda: refused() or None)
        seconds = monotonic() - begun
        now.note = f"{seconds:.2f} s after the act it was refused"
        self.report.figures[now.title] = round(seconds, 3)


def _claims(holder: Client) -> dict[str, Any]:
    return _part(holder, 1)


def _header(holder: Client) -> dict[str, Any]:
    return _part(holder, 0)


def _part(holder: Client, number: int) -> dict[str, Any]:
    """A part of our own token; a thief can read it as well, and nothing is decided by it here."""
    text = str(holder.tokens["access_token"]).split(".")[number]
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return part
