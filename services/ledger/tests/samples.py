"""Events of other services as the ledger meets them, and the keys of a log."""

from uuid import UUID

from libs.common.events import Event, Personal
from libs.common.ids import new_id
from services.ledger.domain.notes import NoteSigner

ORIGIN = "log.test/api/v1/proofs"
SIGNER = NoteSigner.generate(ORIGIN)


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
