"""What it takes to keep a password."""

from dataclasses import dataclass

from services.auth.domain.password_rules import PasswordRules
from services.auth.domain.passwords import PasswordHasher
from services.auth.domain.secrets import MasterSecret


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which passwords are taken, and how they are hashed and keyed."""

    rules: PasswordRules
    hasher: PasswordHasher
    secret: MasterSecret
