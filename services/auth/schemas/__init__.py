"""What clients send and what they are answered. Nothing is coerced, nothing unknown is taken, every fault is told at once."""

from services.auth.schemas.accounts import AccountsQuery, ChangeProfile, ChangeStanding, Profile
from services.auth.schemas.credentials import (
    ChangeEmail,
    ChangePassword,
    EmailChange,
    Forgot,
    Login,
    OneTimeToken,
    Refresh,
    Register,
    ResendVerification,
    Reset,
    SessionView,
    Taken,
    Tokens,
)
from services.auth.schemas.platform import DecideMaintenance, Maintenance, RevocationList

__all__ = [
    "AccountsQuery",
    "ChangeEmail",
    "ChangePassword",
    "ChangeProfile",
    "ChangeStanding",
    "DecideMaintenance",
    "EmailChange",
    "Forgot",
    "Login",
    "Maintenance",
    "OneTimeToken",
    "Profile",
    "Refresh",
    "Register",
    "ResendVerification",
    "Reset",
    "RevocationList",
    "SessionView",
    "Taken",
    "Tokens",
]
