"""People with a second factor: steps as short functions."""

from dataclasses import dataclass, field
from typing import Any

import pyotp
from werkzeug.test import TestResponse

from libs.common import clock
from services.auth.domain.totp import STEP_SECONDS
from services.auth.tests.authenticator import Authenticator
from services.auth.tests.conftest import Person


@dataclass
class Guarded:
    """A person and what they hold: an authenticator app, recovery codes, a passkey, and the tokens of the newest session."""

    person: Person
    secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)
    authenticator: Authenticator = field(default_factory=Authenticator)
    tokens: dict[str, Any] = field(default_factory=dict)

    def code(self, steps: int = 0) -> str:
        """What the app shows, so many steps from now."""
        return pyotp.TOTP(self.secret).at(int(clock.epoch()) + steps * STEP_SECONDS)

    @property
    def token(self) -> str:
        """The access token of the newest session."""
        return str(self.tokens["access_token"])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> TestResponse:
        """Ask as the newest session."""
        return self.person.call(method, path, body, self.token)

    def sign_in(self, **members: Any) -> TestResponse:
        """With the password, and what else is given."""
        answer = self.person.post("/auth/login", {"email": self.person.email, "password": self.person.password, **members})
        if answer.status_code == 200:
            self.tokens = answer.get_json()
        return answer

    def challenge(self) -> str:
        """Sign in as far as the password goes."""
        answer = self.sign_in()
        assert answer.status_code == 401, answer.get_data(as_text=True)
        assert answer.get_json()["code"] == "mfa_required"
        return str(answer.get_json()["challenge"])

    def complete(self, challenge: str, **proof: Any) -> TestResponse:
        """Go on with a second factor."""
        answer = self.person.post("/auth/login/second-factor", {"challenge": challenge, **proof})
        if answer.status_code == 200:
            self.tokens = answer.get_json()
        return answer

    def renew(self) -> dict[str, Any]:
        """Refresh the newest session."""
        answer = self.person.refresh(self.tokens["refresh_token"])
        assert answer.status_code == 200, answer.get_data(as_text=True)
        self.tokens = answer.get_json()
        return self.tokens

    def add_app(self, *, steps: int = -1) -> TestResponse:
        """Set up the authenticator app; confirmed by the code of the step before, so that the present one is fresh."""
        begun = self.call("POST", "/auth/mfa/totp")
        assert begun.status_code == 200, begun.get_data(as_text=True)
        self.secret = begun.get_json()["secret"]
        confirmed = self.call("POST", "/auth/mfa/totp/confirm", {"otp": self.code(steps)})
        if confirmed.status_code == 200:
            self.recovery_codes = confirmed.get_json()["recovery_codes"] or self.recovery_codes
            self.renew()
        return confirmed

    def creation_options(self) -> dict[str, Any]:
        """Begin to make a passkey."""
        answer = self.call("POST", "/auth/passkeys/registration-options")
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.get_json()["public_key"])

    def add_passkey(self, authenticator: Authenticator | None = None, label: str = "My telephone") -> TestResponse:
        """Make a passkey and register it."""
        device = authenticator or self.authenticator
        made = device.make(self.creation_options())
        answer = self.call("POST", "/auth/passkeys", {"label": label, "passkey": made})
        if answer.status_code == 201:
            self.recovery_codes = answer.get_json()["recovery_codes"] or self.recovery_codes
            self.renew()
        return answer

    def assertion(self, authenticator: Authenticator | None = None) -> dict[str, Any]:
        """Use the passkey for a fresh challenge."""
        options = self.person.post("/auth/passkeys/authentication-options")
        assert options.status_code == 200, options.get_data(as_text=True)
        return (authenticator or self.authenticator).use(options.get_json()["public_key"])

    def sign_in_by_passkey(self, credential: dict[str, Any] | None = None) -> TestResponse:
        """Sign in without a password."""
        answer = self.person.post("/auth/login/passkey", {"passkey": credential or self.assertion()})
        if answer.status_code == 200:
            self.tokens = answer.get_json()
        return answer

    def step_up(self, **proof: Any) -> TestResponse:
        """Show again who one is, in the newest session."""
        answer = self.call("POST", "/auth/step-up", proof)
        if answer.status_code == 200:
            self.tokens = answer.get_json()
        return answer


def guarded(person: Person) -> Guarded:
    """Sign somebody in who has no factor yet."""
    found = Guarded(person)
    assert found.sign_in().status_code == 200
    return found
