"""The rows of schema `auth`."""

from libs.common.db import declare_figures
from services.auth.models.access_tokens import personal_access_token
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
from services.auth.models.federation import federated_identity, federation_attempt, identity_offer
from services.auth.models.figures import FIGURES
from services.auth.models.metadata import metadata
from services.auth.models.oauth import (
    authorization_code,
    authorization_request,
    client_secret,
    consent,
    device_request,
    oauth_client,
    revoked_client_token,
)
from services.auth.models.platform import maintenance, root_key, signing_key
from services.auth.models.presence import last_sign_in
from services.auth.models.proposals import administrator_proposal
from services.auth.models.sessions import refresh_token, session

declare_figures(metadata, FIGURES)

__all__ = [
    "administrator_proposal",
    "authorization_code",
    "authorization_request",
    "client_secret",
    "consent",
    "device_request",
    "email_change",
    "federated_identity",
    "federation_attempt",
    "identity_offer",
    "last_sign_in",
    "login_challenge",
    "login_failure",
    "mail_allowance",
    "mail_request",
    "maintenance",
    "metadata",
    "oauth_client",
    "one_time_token",
    "passkey",
    "passkey_ceremony",
    "password_credential",
    "personal_access_token",
    "recovery_code",
    "refresh_token",
    "registration_request",
    "reset_request",
    "revoked_client_token",
    "root_key",
    "session",
    "signing_key",
    "totp_credential",
    "user_account",
]
