"""What people's browsers send from pages."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from libs.common.auth.policy import Role
from libs.common.http import Input
from services.auth.domain.accounts import role_at_registration
from services.auth.schemas.texts import DisplayName, EmailAddress, GivenPassword, NewPassword, Token

TEXT_MAXIMUM = 8_000
"""Characters of one parameter of a page's address; the gateway takes no longer address."""

Parameter = Annotated[str, Field(max_length=TEXT_MAXIMUM)]


class PageQueryText(Input):
    """What every page's address may say: the language, and what was just done."""

    lang: Parameter | None = None
    notice: Parameter | None = None


class EntranceQuery(PageQueryText):
    """Where somebody is led after signing in, and whether they are to be asked again."""

    callbackUrl: Parameter | None = None  # noqa: N815  the name that the platform's clients know
    prompt: Parameter | None = None


class MailedQuery(PageQueryText):
    """A mailed link."""

    token: Token | None = None


class LoginForm(Input):
    """Who signs in, and where they go from there."""

    email: EmailAddress
    password: GivenPassword
    callbackUrl: Parameter | None = None  # noqa: N815  the name that the platform's clients know


class RegisterForm(Input):
    """A newcomer."""

    email: EmailAddress
    password: NewPassword
    display_name: DisplayName
    role: Annotated[Role, AfterValidator(role_at_registration)]


class MailedForm(Input):
    """The token from a mail."""

    token: Token


class EndSessionForm(Input):
    """Which session ends."""

    session_id: UUID
