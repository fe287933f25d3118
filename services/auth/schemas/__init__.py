"""What clients send and what they are answered. Nothing is coerced, nothing unknown is taken, every fault is told at once."""

from services.auth.schemas.accounts import AccountsQuery, ChangeProfile, ChangeStanding, Profile
from services.auth.schemas.credentials import (
    ChangePassword,
    Forgot,
    Login,
    OneTimeToken,
    Refresh,
    Register,
    Reset,
    SessionView,
    Taken,
    Tokens,
)
from services.auth.schemas.federation import (
    Began,
    CompleteFederation,
    ConfirmLink,
    Identities,
    IdentityView,
    Providers,
    ProviderView,
)
from services.auth.schemas.platform import DecideMaintenance, Maintenance, RevocationList

__all__ = [
    "AccountsQuery",
    "Began",
    "ChangePassword",
    "ChangeProfile",
    "ChangeStanding",
    "CompleteFederation",
    "ConfirmLink",
    "DecideMaintenance",
    "Forgot",
    "Identities",
    "IdentityView",
    "Login",
    "Maintenance",
    "OneTimeToken",
    "Profile",
    "ProviderView",
    "Providers",
    "Refresh",
    "Register",
    "Reset",
    "RevocationList",
    "SessionView",
    "Taken",
    "Tokens",
]
