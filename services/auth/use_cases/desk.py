"""What the doors of clients work with, in one piece."""

from dataclasses import dataclass

from libs.common.db import Database
from services.auth.domain.authorization import Provider
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.replays import UsedOnce
from services.auth.domain.sessions import Lifetimes
from services.auth.domain.tokens import TokenIssuer
from services.auth.use_cases.token_status import Reader


@dataclass(frozen=True, slots=True)
class Desk:
    """Where clients exchange, examine and end tokens."""

    database: Database
    provider: Provider
    used: UsedOnce
    issuer: TokenIssuer
    teller: SignInTeller
    lifetimes: Lifetimes
    reader: Reader
