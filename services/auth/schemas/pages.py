"""What people's browsers send from pages."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import from_json

from libs.common.auth.policy import Role
from libs.common.http import Input
from services.auth.domain.accounts import role_at_registration
from services.auth.domain.factors import Proof
from services.auth.schemas.factors import MadeCredential, OneTimeCode, PasskeyLabel, RecoveryCode, UsedCredential
from services.auth.schemas.texts import DisplayName, EmailAddress, GivenPassword, NewPassword, Token

TEXT_MAXIMUM = 8_000
"""Characters of one parameter of a page's address; the gateway takes no longer address."""

UserCode = Annotated[str, Field(min_length=1, max_length=40)]
Parameter = Annotated[str, Field(max_length=TEXT_MAXIMUM)]


def _from_json(text: Any) -> Any:
    """What a script put into a hidden box as JSON; raises ValueError, for what is nested too deeply too."""
    return from_json(text) if isinstance(text, str) else text


MadePasskeyText = Annotated[MadeCredential, BeforeValidator(_from_json)]
PasskeyText = Annotated[UsedCredential, BeforeValidator(_from_json)]


class PageParameters(Input):
    """What every page's address may say: the language, and what was just done."""

    lang: Parameter | None = None
    notice: Parameter | None = None


class EntranceQuery(PageParameters):
    """Where somebody is led after signing in, and whether they are to be asked again."""

    callbackUrl: Parameter | None = None  # noqa: N815  the name that the platform's clients know
    prompt: Parameter | None = None


class MailedQuery(PageParameters):
    """A mailed link."""

    token: Token | None = None


class AssetQuery(Input):
    """Which content is meant; there is one."""

    v: Parameter | None = None


class _Led(Input):
    callbackUrl: Parameter | None = None  # noqa: N815  the name that the platform's clients know


class CallbackQuery(Input):
    """What a provider sent with the browser (RFC 6749 section 4.1.2); what else it adds means nothing here."""

    model_config = ConfigDict(extra="ignore")

    state: Parameter = ""
    code: Parameter | None = None
    error: Parameter | None = None
    iss: Parameter | None = None


class LeaveForm(_Led):
    """Where somebody goes once they have signed in with a provider."""


class LinkForm(Input):
    """The provider at which one has an account to link."""

    provider: Parameter


class UnlinkForm(Input):
    """A link to take away."""

    identity_id: UUID


class LoginForm(_Led):
    """Who signs in, and where they go from there."""

    email: EmailAddress
    password: GivenPassword


class SecondFactorForm(_Led):
    """The second factor of a sign-in that waits for it; `methods` is for showing the form again."""

    challenge: Token
    methods: Parameter = ""
    otp: OneTimeCode | None = None
    recovery_code: RecoveryCode | None = None
    passkey: PasskeyText | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(each is not None for each in (self.otp, self.recovery_code, self.passkey)) != 1:
            raise ValueError("must hold exactly one of otp, recovery_code, passkey")
        return self

    @property
    def proof(self) -> Proof:
        """What is given, as it is judged."""
        return Proof(
            self.otp,
            None if self.recovery_code is None else self.recovery_code.get_secret_value(),
            None if self.passkey is None else self.passkey.as_json(),
        )


class PasskeyForm(_Led):
    """A passkey in place of address and password."""

    passkey: PasskeyText


class RegisterForm(Input):
    """A newcomer."""

    email: EmailAddress
    password: NewPassword
    display_name: DisplayName
    role: Annotated[Role, AfterValidator(role_at_registration)]


class MailedForm(Input):
    """The token from a mail."""

    token: Token


class ConsentQuery(PageParameters):
    """Which question is meant."""

    request: Token


class AnswerForm(Input):
    """Yes or no."""

    answer: Literal["grant", "deny"]


class DeviceQuery(PageParameters):
    """A device's code, where a link brought it."""

    user_code: UserCode | None = None


class DeviceForm(Input):
    """A device's code, and yes or no once the person has seen what it asks for."""

    user_code: UserCode
    answer: Literal["grant", "deny"] | None = None


class ConfirmTotpForm(Input):
    """The first code of an authenticator app; the secret is for showing it again."""

    otp: OneTimeCode
    secret: Annotated[str, Field(max_length=64, pattern=r"^[A-Z2-7]*$")] = ""


class NewPasskeyForm(Input):
    """A passkey that the browser made, and a name by which the person knows it."""

    label: PasskeyLabel
    passkey: MadePasskeyText


class RemoveFactorForm(Input):
    """What goes: the authenticator app, or one passkey."""

    totp: Literal["remove"] | None = None
    passkey_id: UUID | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.totp is None) is (self.passkey_id is None):
            raise ValueError("must name either totp or passkey_id")
        return self


class EndSessionForm(Input):
    """Which session ends."""

    session_id: UUID
