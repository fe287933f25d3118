"""Due work of auth."""

from libs.common.db import Transaction
from libs.common.jobs import every
from services.auth.domain.accounts import Dormancy, Links
from services.auth.domain.keys import SigningPeriod
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.use_cases import keys, kyc, mail_requests, presence, proposals, purge, registration, root
from services.auth.use_cases import purge_grants as grants


@every(seconds=5, wake=registration.REGISTRATION_CHANNEL)
def open_accounts(tx: Transaction, links: Links, secret: MasterSecret) -> int:
    """Open the accounts that were registered; a registration wakes this at once."""
    return registration.open_accounts(tx, links, secret)


@every(seconds=5, wake=mail_requests.MAIL_CHANNEL)
def mail_links(tx: Transaction, links: Links) -> int:
    """Mail the reset and verification links that were asked for; a request wakes this at once."""
    return mail_requests.mail_links(tx, links)


@every(minutes=10)
def purge_expired(tx: Transaction) -> int:
    """Delete tokens, sessions and failures that no decision needs any more."""
    return purge.purge(tx)


@every(minutes=1)
def expire_kyc(tx: Transaction) -> int:
    """Let checks of people, and accreditation with them, expire when their time is over."""
    return kyc.expire(tx)


@every(minutes=10)
def expire_proposals(tx: Transaction) -> int:
    """End proposals to make somebody an administrator that nobody confirmed in time."""
    return proposals.expire(tx)


@every(minutes=10)
def purge_grants(tx: Transaction) -> int:
    """Delete codes, questions and secrets of clients that no decision needs any more."""
    return grants.purge_grants(tx)


@every(seconds=15)
def forget_successors(tx: Transaction) -> int:
    """Erase sealed refresh tokens whose window of grace is over."""
    return purge.forget_successors(tx)


@every(minutes=1)
def rotate_keys(tx: Transaction, secret: MasterSecret, period: SigningPeriod) -> int:
    """Let the next key sign when the present one has signed for long enough."""
    return keys.rotate_when_due(tx, secret, period.duration)


@every(hours=1)
def tell_dormant(tx: Transaction, dormancy: Dormancy) -> int:
    """Tell owners of accounts into which nobody has signed in for long, once."""
    return presence.tell_dormant(tx, dormancy.after)


@every(minutes=10)
def forget_secrets(tx: Transaction, secrets: SealingSecrets) -> int:
    """Let a secret that was rotated away open nothing any more."""
    return root.forget_secrets(tx, secrets)
