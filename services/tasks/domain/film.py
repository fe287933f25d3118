"""Films and their ten phases: order, progress and addresses."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from libs.common.errors import Conflict, NotFound
from services.tasks.domain.values import FilmId, FilmStatus, Phase, PhaseStatus, TaskStatus

FILM_TITLE_LENGTH = (1, 200)
SYNOPSIS_LENGTH = 5_000
FILM_BUDGET_CENTS = 100_000_000_000
"""The largest budget that can be planned: a thousand million, in cents."""
SLUG_LENGTH = 80
NUMBERED_SLUGS = 20
"""How many films of one title get a readable number before the identifier is used."""

PRE_PRODUCTION = frozenset({Phase.SCRIPT, Phase.STORYBOARD, Phase.PREVIZ, Phase.DESIGN})
POST_PRODUCTION = frozenset({Phase.EDITING, Phase.COLOR, Phase.FINAL})
SETTLED = frozenset({TaskStatus.VALIDATED, TaskStatus.CANCELLED})
"""Nothing waits for a task in one of these."""


class FilmNotFound(NotFound):
    """No film that this caller may see has that id or slug."""


class PhaseNotFound(NotFound):
    """A film has the ten phases SCRIPT to FINAL and no other."""


class PhaseNotLocked(Conflict):
    """Only a locked phase can be unlocked."""


class PhaseComplete(Conflict):
    """A complete phase takes no more tasks."""


def phase_complete(tasks: Iterable[TaskStatus]) -> bool:
    """Whether a phase with these tasks is complete: at least one is validated and nothing else is left to do."""
    statuses = set(tasks)
    return TaskStatus.VALIDATED in statuses and statuses <= SETTLED


def next_locked(phases: Mapping[Phase, PhaseStatus]) -> Phase | None:
    """The first phase in order that is still locked."""
    return next((phase for phase in Phase if phases[phase] is PhaseStatus.LOCKED), None)


def progress_percent(phases: Mapping[Phase, PhaseStatus]) -> int:
    """Completed phases in whole percent."""
    completed = sum(status is PhaseStatus.COMPLETED for status in phases.values())
    return completed * 100 // len(Phase)


def film_status(phases: Mapping[Phase, PhaseStatus]) -> FilmStatus:
    """How far the film is, by the latest phase that is at work or done."""
    if all(status is PhaseStatus.COMPLETED for status in phases.values()):
        return FilmStatus.COMPLETED
    reached = max(
        (phase for phase, status in phases.items() if status is not PhaseStatus.LOCKED), key=lambda phase: phase.position
    )
    if reached in PRE_PRODUCTION:
        return FilmStatus.PRE_PRODUCTION
    return FilmStatus.POST_PRODUCTION if reached in POST_PRODUCTION else FilmStatus.IN_PRODUCTION


def slug_of(title: str) -> str:
    """A title as it stands in an address: lower-case ASCII words joined by hyphens.

    A title without such words becomes `film`; one that could be taken for an identifier is prefixed.
    """
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = "-".join(re.findall(r"[a-z0-9]+", ascii_title.lower()))[:SLUG_LENGTH].strip("-") or "film"
    return slug if parse_film_id(slug) is None else f"film-{slug}"


def slug_candidates(title: str, film_id: FilmId) -> Iterator[str]:
    """Slugs to try in turn; the last carries the film's own id, so it is free."""
    slug = slug_of(title)
    yield slug
    yield from (f"{slug}-{number}" for number in range(2, NUMBERED_SLUGS + 1))
    yield f"{slug}-{film_id.hex}"


def parse_film_id(reference: str) -> FilmId | None:
    """The film id that a path segment spells, or none when it is a slug."""
    try:
        return FilmId(UUID(reference))
    except ValueError:
        return None
