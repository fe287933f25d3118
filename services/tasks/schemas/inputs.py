"""What clients send: strict, every fault at once."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from libs.common.http import Input, PageQuery
from libs.common.http.texts import FilmTitleText, TaskTitleText
from libs.common.money import Money
from services.tasks.domain.film import FILM_BUDGET_CENTS, FILM_TITLE_LENGTH, SYNOPSIS_LENGTH
from services.tasks.domain.planning import (
    DEPENDENCIES_MAX,
    DESCRIPTION_LENGTH,
    REFERENCE_LENGTH,
    TASK_PRICE_CENTS,
    TASK_TITLE_LENGTH,
    Draft,
)
from services.tasks.domain.review import FEEDBACK_LENGTH, MEDIA_COUNT, NOTES_LENGTH
from services.tasks.domain.values import (
    Catalogue,
    Difficulty,
    FilmId,
    Genre,
    Level,
    MediaId,
    Phase,
    SubmissionStatus,
    TaskStatus,
    TaskType,
    UserId,
    Verdict,
)
from services.tasks.schemas.texts import FeedbackText, LeaseTokenText, NotesText, ReferenceText, SynopsisText
from services.tasks.use_cases.films import FilmDraft
from services.tasks.use_cases.work import Delivery

LEASE_TOKEN_LENGTH = 43
"""256 bits in base64url without padding."""
_LINE_CONTROLS = frozenset("\t\n\r")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return _trimmed(text)


def _readable(text: str) -> str:
    if not all(character.isprintable() or character in _LINE_CONTROLS or character.isspace() for character in text):
        raise ValueError("must not hold control characters")
    return text


def _trimmed(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with a space")
    return text


def _bounded(limit: int) -> AfterValidator:
    def check(money: Money) -> Money:
        if not 0 <= money.amount <= limit:
            raise ValueError(f"must be between 0 and {limit} in minor units")
        return money

    return AfterValidator(check)


FilmTitle = Annotated[
    FilmTitleText,
    StringConstraints(min_length=FILM_TITLE_LENGTH[0], max_length=FILM_TITLE_LENGTH[1]),
    AfterValidator(_one_line),
]
TaskTitle = Annotated[
    TaskTitleText,
    StringConstraints(min_length=TASK_TITLE_LENGTH[0], max_length=TASK_TITLE_LENGTH[1]),
    AfterValidator(_one_line),
]
Reference = Annotated[
    ReferenceText, StringConstraints(min_length=REFERENCE_LENGTH[0], max_length=REFERENCE_LENGTH[1]), AfterValidator(_one_line)
]
DependencyName = Annotated[str, StringConstraints(min_length=1, max_length=TASK_TITLE_LENGTH[1]), AfterValidator(_one_line)]


class FilmInput(Input):
    """A film to be planned."""

    title: FilmTitle
    synopsis: Annotated[SynopsisText, StringConstraints(max_length=SYNOPSIS_LENGTH), AfterValidator(_readable)] = ""
    genre: Genre
    catalogue: Catalogue = Catalogue.LUMIERE
    budget: Annotated[Money, _bounded(FILM_BUDGET_CENTS)]
    is_public: bool

    def draft(self) -> FilmDraft:
        """As the domain takes it."""
        return FilmDraft(
            title=self.title,
            synopsis=self.synopsis,
            genre=self.genre,
            catalogue=self.catalogue,
            budget=self.budget,
            is_public=self.is_public,
        )


class TaskInput(Input):
    """A task to be planned."""

    title: TaskTitle
    description: Annotated[
        str,
        StringConstraints(min_length=DESCRIPTION_LENGTH[0], max_length=DESCRIPTION_LENGTH[1]),
        AfterValidator(_readable),
    ]
    type: TaskType
    difficulty: Difficulty
    phase: Phase
    price: Annotated[Money, _bounded(TASK_PRICE_CENTS)]
    required_level: Level = Level.ROOKIE
    reference: Reference | None = Field(default=None, description="A name of your own for the task, used once in the film")
    depends_on: tuple[DependencyName, ...] = Field(
        default=(), max_length=DEPENDENCIES_MAX, description="Ids of tasks of the film, or references or titles in film or plan"
    )

    def draft(self, place: str) -> Draft:
        """As the domain takes it; `place` is the JSON Pointer of this task in the request."""
        return Draft(
            place=place,
            reference=self.reference,
            title=self.title,
            description=self.description,
            type=self.type,
            difficulty=self.difficulty,
            phase=self.phase,
            price=self.price,
            required_level=self.required_level,
            depends_on=self.depends_on,
        )


class SubmissionInput(Input):
    """Work to be handed in."""

    lease_token: Annotated[LeaseTokenText, StringConstraints(min_length=LEASE_TOKEN_LENGTH, max_length=LEASE_TOKEN_LENGTH)]
    media_ids: tuple[UUID, ...] = Field(min_length=MEDIA_COUNT[0], max_length=MEDIA_COUNT[1])
    notes: Annotated[NotesText, StringConstraints(max_length=NOTES_LENGTH), AfterValidator(_readable)] = ""

    @model_validator(mode="after")
    def _media_differ(self) -> Self:
        if len(set(self.media_ids)) != len(self.media_ids):
            raise ValueError("media_ids must differ from each other")
        return self

    def delivery(self) -> Delivery:
        """As the domain takes it."""
        media_ids = tuple(MediaId(media_id) for media_id in self.media_ids)
        return Delivery(lease_token=self.lease_token, media_ids=media_ids, notes=self.notes)


class ReviewInput(Input):
    """A verdict on a submission."""

    verdict: Verdict
    feedback: Annotated[FeedbackText, StringConstraints(max_length=FEEDBACK_LENGTH), AfterValidator(_readable)] = ""

    @model_validator(mode="after")
    def _rejection_is_explained(self) -> Self:
        if self.verdict is Verdict.REJECT and not self.feedback.strip():
            raise ValueError("feedback must say what to change when the verdict is REJECT")
        return self


class TaskQuery(PageQuery):
    """Filters of the task list."""

    status: TaskStatus | None = None
    type: TaskType | None = None
    film_id: UUID | None = None
    mine: bool = Field(default=False, description="Only tasks that you work on or have done")

    def filters(self, reader_id: UserId) -> dict[str, object]:
        """Filters by column; none lets everything pass."""
        return {
            "status": self.status,
            "type": self.type,
            "film_id": FilmId(self.film_id) if self.film_id else None,
            "claimant_id": reader_id if self.mine else None,
        }


class SubmissionQuery(PageQuery):
    """Filters of the review queue."""

    status: SubmissionStatus | None = None
