"""The rows of schema `auth`."""

from services.auth.models.accounts import (
    login_failure,
    mail_allowance,
    mail_request,
    one_time_token,
    password_credential,
    registration_request,
    user_account,
)
from services.auth.models.email_changes import email_change
from services.auth.models.factors import login_challenge, passkey, passkey_ceremony, recovery_code, totp_credential
from services.auth.models.metadata import metadata
from services.auth.models.platform import maintenance, signing_key
from services.auth.models.presence import last_sign_in
from services.auth.models.sessions import refresh_token, session

__all__ = [
    "email_change",
    "last_sign_in",
    "login_challenge",
    "login_failure",
    "mail_allowance",
    "mail_request",
    "maintenance",
    "metadata",
    "one_time_token",
    "passkey",
    "passkey_ceremony",
    "password_credential",
    "recovery_code",
    "refresh_token",
    "registration_request",
    "session",
    "signing_key",
    "totp_credential",
    "user_account",
]
