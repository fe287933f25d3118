"""What clients send and are answered of second factors and passkeys."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator

from libs.common.http import Input, View
from services.auth.domain.factors import Factor, Proof
from services.auth.domain.passkeys import LABEL_MAXIMUM, label
from services.auth.schemas.texts import TOKEN_EXAMPLE, GivenPassword, Token

ENCODED_MAXIMUM = 16_384
"""Characters of one encoded member of an authenticator's answer; attestations with certificates have some thousands."""

OneTimeCode = Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["123456"])]
RecoveryCodeText = Annotated[str, Field(examples=["mzxw-6ytb-oi2d-onrq"])]
RecoveryCode = Annotated[SecretStr, Field(min_length=16, max_length=40, examples=["mzxw-6ytb-oi2d-onrq"])]
PasskeyLabelText = Annotated[str, Field(examples=["My telephone"])]
PasskeyLabel = Annotated[
    PasskeyLabelText, AfterValidator(label), Field(json_schema_extra={"minLength": 1, "maxLength": LABEL_MAXIMUM})
]
Encoded = Annotated[
    str, Field(min_length=1, max_length=ENCODED_MAXIMUM, pattern=r"^[A-Za-z0-9_-]+$", examples=["eyJ0eXBlIjoi"])
]


class _Answer(Input):
    """A JSON form of the browsers' (Web Authentication, Level 3, section 5.1): members that newer ones add are passed over."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class Attestation(_Answer):
    """How an authenticator answers that made a passkey."""

    client_data: Encoded = Field(alias="clientDataJSON")
    attestation: Encoded = Field(alias="attestationObject")


class Assertion(_Answer):
    """How an authenticator answers that used a passkey."""

    client_data: Encoded = Field(alias="clientDataJSON")
    authenticator_data: Encoded = Field(alias="authenticatorData")
    signature: Encoded
    user_handle: Encoded | None = Field(default=None, alias="userHandle")


class _Credential(_Answer):
    id: Encoded
    raw_id: Encoded = Field(alias="rawId")
    type: Literal["public-key"]

    def as_json(self) -> dict[str, Any]:
        """Return it as the browser gave it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class MadeCredential(_Credential):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.create`."""

    response: Attestation


class UsedCredential(_Credential):
    """`PublicKeyCredential.toJSON()` of `navigator.credentials.get`."""

    response: Assertion


class _Shown(Input):
    """One second factor."""

    otp: OneTimeCode | None = Field(default=None, description="The code that the authenticator app shows")
    recovery_code: RecoveryCode | None = Field(default=None, description="One of the recovery codes")
    passkey: UsedCredential | None = Field(default=None, description="The answer of `navigator.credentials.get`, as JSON")

    @property
    def given(self) -> int:
        """How many factors are given."""
        return sum(each is not None for each in (self.otp, self.recovery_code, self.passkey))

    @property
    def proof(self) -> Proof:
        """What is given, as it is judged."""
        return Proof(
            self.otp,
            None if self.recovery_code is None else self.recovery_code.get_secret_value(),
            None if self.passkey is None else self.passkey.as_json(),
        )


class SecondFactor(_Shown):
    """The second factor of a sign-in that waits for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"challenge": TOKEN_EXAMPLE, "otp": "123456"}],
        }
    )

    challenge: Token

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.given != 1:
            raise ValueError("must name exactly one of otp, recovery_code, passkey")
        return self


class PasskeySignIn(Input):
    """A passkey in place of address and password."""

    passkey: UsedCredential


class StepUp(_Shown):
    """Who is there: the password, with a second factor where the account has one; or a passkey alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "a long pass phrase", "otp": "123456"}]})

    password: GivenPassword | None = None

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.given > 1:
            raise ValueError("must name at most one of otp, recovery_code, passkey")
        if self.password is None and self.passkey is None:
            raise ValueError("must name password or passkey")
        return self


class Factors(View):
    """The second factors of an account."""

    totp: bool = Field(description="Whether an authenticator app is set up")
    passkeys: int = Field(description="How many passkeys there are")
    recovery_codes: int = Field(description="How many recovery codes are unused")
    required: bool = Field(description="Whether the account's role holds only with a second factor")
    methods: tuple[Factor, ...] = Field(description="What completes a sign-in, the best first")


class TotpSecret(View):
    """A secret for an authenticator app; it counts once a code of it was confirmed."""

    secret: str = Field(description="In base32, to be typed", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    otpauth_uri: str = Field(
        description="For a picture that the app reads",
        examples=["otpauth://totp/Lumi%C3%A8re:ada%40example.org?secret=JBSWY3DP"],
    )


class OneTimeCodeGiven(Input):
    """A code of the authenticator app."""

    otp: OneTimeCode


class RecoveryCodes(View):
    """Recovery codes, shown this once; each completes one sign-in."""

    recovery_codes: tuple[RecoveryCodeText, ...]


class CreationOptions(View):
    """What to call `navigator.credentials.create` with, after `PublicKeyCredential.parseCreationOptionsFromJSON`."""

    public_key: dict[str, Any]


class RequestOptions(View):
    """What to call `navigator.credentials.get` with, after `PublicKeyCredential.parseRequestOptionsFromJSON`."""

    public_key: dict[str, Any]


class NewPasskey(Input):
    """A passkey that the browser made, and a name by which the person knows it."""

    label: PasskeyLabel
    passkey: MadeCredential


class RenamePasskey(Input):
    """Another name."""

    label: PasskeyLabel


class Passkey(View):
    """A passkey of one's own."""

    id: UUID
    label: PasskeyLabelText
    synchronised: bool = Field(description="Whether its provider copies it between devices")
    created_at: datetime
    last_used_at: datetime | None


class RegisteredPasskey(Passkey):
    """A passkey just made; with recovery codes, shown this once, where the account had none."""

    recovery_codes: tuple[RecoveryCodeText, ...]
