"""Events that only these tests publish."""

from uuid import UUID

from libs.common.events import Event, EventPart, Personal


class Reel(EventPart):
    reel_id: UUID
    metres: int


class ReelCut(Event, type="studio.reel.cut", version=1, aggregate="reel_id"):
    """A reel was cut."""

    reel_id: UUID
    number: int
    parts: tuple[Reel, ...] = ()


class ReelBurnt(Event, type="studio.reel.burnt", version=1, aggregate="reel_id"):
    """A reel caught fire."""

    reel_id: UUID


class PersonHired(Event, type="studio.person.hired", version=1, aggregate="person_id"):
    """Somebody was hired."""

    person_id: UUID
    email: Personal[str]
    variables: Personal[dict[str, str]]
