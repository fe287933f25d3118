"""The texts of auth: what is taken, with its limits, and what is answered, with an example."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from services.auth.domain.accounts import (
    ADDRESS_MAXIMUM,
    BIO_MAXIMUM,
    DISPLAY_NAME_MAXIMUM,
    DISPLAY_NAME_MINIMUM,
    Address,
    bio,
    display_name,
    normal_address,
)
from services.auth.domain.maintenance import REASON_MAXIMUM, reason
from services.auth.domain.passwords import PASSWORD_MAXIMUM, PASSWORD_MINIMUM, normal_password

TOKEN_MAXIMUM = 200


def _acceptable(password: SecretStr) -> SecretStr:
    return SecretStr(normal_password(password.get_secret_value()))


EmailAddress = Annotated[
    Address,
    AfterValidator(normal_address),
    Field(max_length=ADDRESS_MAXIMUM, json_schema_extra={"format": "email"}, examples=["ada@example.org"]),
]
NewPassword = Annotated[
    SecretStr,
    AfterValidator(_acceptable),
    Field(
        description=f"{PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters",
        json_schema_extra={"minLength": PASSWORD_MINIMUM, "maxLength": PASSWORD_MAXIMUM},
    ),
]
ReasonText = Annotated[str, Field(examples=["Moving the database to a larger machine"])]
Reason = Annotated[ReasonText, AfterValidator(reason), Field(json_schema_extra={"minLength": 1, "maxLength": REASON_MAXIMUM})]
GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=4 * PASSWORD_MAXIMUM)]
DisplayName = Annotated[
    str,
    AfterValidator(display_name),
    Field(json_schema_extra={"minLength": DISPLAY_NAME_MINIMUM, "maxLength": DISPLAY_NAME_MAXIMUM}, examples=["Ada Lovelace"]),
]
BioText = Annotated[str, Field(examples=["Prompts, rotoscoping and one Bolex."])]
Bio = Annotated[BioText, AfterValidator(bio), Field(json_schema_extra={"maxLength": BIO_MAXIMUM})]
TOKEN_EXAMPLE = "kS3bGqk0cYzv0Jj6T2mXWw1nq8hF4uRlA9eVtDpO5iE"  # noqa: S105  # pragma: allowlist secret
Token = Annotated[SecretStr, Field(min_length=1, max_length=TOKEN_MAXIMUM, examples=[TOKEN_EXAMPLE])]
TokenText = Annotated[str, Field(examples=[TOKEN_EXAMPLE])]
