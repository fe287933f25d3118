"""Due work of auth."""

from libs.common.db import Transaction
from libs.common.jobs import every
from services.auth.domain.accounts import Links
from services.auth.domain.keys import SigningPeriod
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.use_cases import keys, passwords, purge, root


@every(seconds=5, wake=passwords.RESET_CHANNEL)
def mail_resets(tx: Transaction, links: Links) -> int:
    """Mail the reset links that were asked for; a request wakes this at once."""
    return passwords.mail_resets(tx, links)


@every(minutes=10)
def purge_expired(tx: Transaction) -> int:
    """Delete tokens, sessions and failures that no decision needs any more."""
    return purge.purge(tx)


@every(seconds=15)
def forget_successors(tx: Transaction) -> int:
    """Erase sealed refresh tokens whose window of grace is over."""
    return purge.forget_successors(tx)


@every(minutes=1)
def rotate_keys(tx: Transaction, secret: MasterSecret, period: SigningPeriod) -> int:
    """Let the next key sign when the present one has signed for long enough."""
    return keys.rotate_when_due(tx, secret, period.duration)


@every(minutes=10)
def forget_secrets(tx: Transaction, secrets: SealingSecrets) -> int:
    """Let a secret that was rotated away open nothing any more."""
    return root.forget_secrets(tx, secrets)
