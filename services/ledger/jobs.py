"""Due work of the ledger."""

from libs.common.db import Transaction
from libs.common.jobs import every
from services.ledger import use_cases
from services.ledger.domain.notes import NoteSigner
from services.ledger.use_cases import LEAF_CHANNEL


@every(seconds=2, wake=LEAF_CHANNEL)
def seal(tx: Transaction, signer: NoteSigner) -> int:
    """Seal what has arrived; a leaf's arrival wakes this at once."""
    return use_cases.seal(tx, signer)
