"""Events of other services as the ledger meets them, and the keys of a log."""

from uuid import UUID

from libs.common.db import Database
from libs.common.events import Event, Personal
from libs.common.ids import new_id
from services.ledger import use_cases
from services.ledger.domain.notes import NoteSigner
from services.ledger.models import metadata

ORIGIN = "log.test/api/v1/proofs"
SIGNER = NoteSigner(ORIGIN, bytes(range(32)))


class Painted(Event, type="sampletasks.backdrop.painted", version=1, aggregate="backdrop_id"):
    """A backdrop was painted."""

    backdrop_id: UUID
    title: str


class Invited(Event, type="samplepeople.guest.invited", version=1, aggregate="guest_id"):
    """Somebody was invited."""

    guest_id: UUID
    email: Personal[str]


def painted(title: str = "La lune", backdrop_id: UUID | None = None) -> Painted:
    return Painted(backdrop_id=backdrop_id or new_id(), title=title)


def seal_for_ever(database_url: str) -> None:
    """A sequencer in a process of its own, which somebody else will kill."""
    database = Database(database_url, metadata)
    while True:
        with database.transaction() as tx:
            use_cases.seal(tx, SIGNER)
