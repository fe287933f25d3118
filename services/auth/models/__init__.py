"""The rows of schema `auth`."""

from services.auth.models.accounts import (
    login_failure,
    mail_allowance,
    one_time_token,
    password_credential,
    reset_request,
    user_account,
)
from services.auth.models.factors import login_challenge, passkey, passkey_ceremony, recovery_code, totp_credential
from services.auth.models.metadata import metadata
from services.auth.models.platform import maintenance, signing_key
from services.auth.models.sessions import refresh_token, session

__all__ = [
    "login_challenge",
    "login_failure",
    "mail_allowance",
    "maintenance",
    "metadata",
    "one_time_token",
    "passkey",
    "passkey_ceremony",
    "password_credential",
    "recovery_code",
    "refresh_token",
    "reset_request",
    "session",
    "signing_key",
    "totp_credential",
    "user_account",
]
