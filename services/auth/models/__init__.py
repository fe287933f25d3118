"""The rows of schema `auth`."""

from services.auth.models.accounts import (
    login_failure,
    mail_allowance,
    one_time_token,
    password_credential,
    reset_request,
    user_account,
)
from services.auth.models.metadata import metadata
from services.auth.models.platform import maintenance, root_key, signing_key
from services.auth.models.sessions import refresh_token, session

__all__ = [
    "login_failure",
    "mail_allowance",
    "maintenance",
    "metadata",
    "one_time_token",
    "password_credential",
    "refresh_token",
    "reset_request",
    "root_key",
    "session",
    "signing_key",
    "user_account",
]
