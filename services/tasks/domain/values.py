"""The words of production: identifiers and closed vocabularies."""

from enum import StrEnum
from typing import NewType
from uuid import UUID

FilmId = NewType("FilmId", UUID)
PhaseId = NewType("PhaseId", UUID)
TaskId = NewType("TaskId", UUID)
SubmissionId = NewType("SubmissionId", UUID)
MediaId = NewType("MediaId", UUID)
UserId = NewType("UserId", UUID)


class Genre(StrEnum):
    """What kind of film it is."""

    ACTION = "ACTION"
    ADVENTURE = "ADVENTURE"
    ANIMATION = "ANIMATION"
    BIOGRAPHY = "BIOGRAPHY"
    COMEDY = "COMEDY"
    CRIME = "CRIME"
    DOCUMENTARY = "DOCUMENTARY"
    DRAMA = "DRAMA"
    FANTASY = "FANTASY"
    HISTORICAL = "HISTORICAL"
    HORROR = "HORROR"
    MUSICAL = "MUSICAL"
    ROMANCE = "ROMANCE"
    SCIENCE_FICTION = "SCIENCE_FICTION"
    THRILLER = "THRILLER"


class Catalogue(StrEnum):
    """The collection that a film belongs to."""

    LUMIERE = "LUMIERE"
    RUPPIN = "RUPPIN"
    BIBLE = "BIBLE"
    ACTION = "ACTION"
    COMMUNITY = "COMMUNITY"


class Origin(StrEnum):
    """What a film grew from."""

    ADMIN = "ADMIN"
    SCENARIO = "SCENARIO"
    SCREENPLAY = "SCREENPLAY"


class FilmStatus(StrEnum):
    """How far production has come; follows from the phases and is never set by hand."""

    PRE_PRODUCTION = "PRE_PRODUCTION"
    IN_PRODUCTION = "IN_PRODUCTION"
    POST_PRODUCTION = "POST_PRODUCTION"
    COMPLETED = "COMPLETED"


class Phase(StrEnum):
    """The ten phases of every film, in their fixed order."""

    SCRIPT = "SCRIPT"
    STORYBOARD = "STORYBOARD"
    PREVIZ = "PREVIZ"
    DESIGN = "DESIGN"
    ANIMATION = "ANIMATION"
    VFX = "VFX"
    AUDIO = "AUDIO"
    EDITING = "EDITING"
    COLOR = "COLOR"
    FINAL = "FINAL"

    @property
    def position(self) -> int:
        """Its place in the order, from 1 to 10."""
        return list(Phase).index(self) + 1


class PhaseStatus(StrEnum):
    """A phase is locked, then worked on, then complete; it never goes back."""

    LOCKED = "LOCKED"
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"


class TaskType(StrEnum):
    """The sixteen kinds of micro-task."""

    PROMPT_WRITING = "PROMPT_WRITING"
    IMAGE_GEN = "IMAGE_GEN"
    VIDEO_REVIEW = "VIDEO_REVIEW"
    STUNT_CAPTURE = "STUNT_CAPTURE"
    DANCE_CAPTURE = "DANCE_CAPTURE"
    DIALOGUE_EDIT = "DIALOGUE_EDIT"
    COLOR_GRADE = "COLOR_GRADE"
    SOUND_DESIGN = "SOUND_DESIGN"
    CONTINUITY_CHECK = "CONTINUITY_CHECK"
    QA_REVIEW = "QA_REVIEW"
    CHARACTER_DESIGN = "CHARACTER_DESIGN"
    ENV_DESIGN = "ENV_DESIGN"
    MOTION_REF = "MOTION_REF"
    COMPOSITING = "COMPOSITING"
    TRANSLATION = "TRANSLATION"
    SUBTITLE = "SUBTITLE"


class Family(StrEnum):
    """Task types that the same roles may work on."""

    GENERAL = "GENERAL"
    CREATIVE = "CREATIVE"
    PERFORMANCE = "PERFORMANCE"


class Difficulty(StrEnum):
    """One to four stars."""

    EASY = "EASY"
    MEDIUM = "MEDIUM"
    HARD = "HARD"
    EXPERT = "EXPERT"


class TaskStatus(StrEnum):
    """Where a task stands; `task.TRANSITIONS` says how it moves."""

    LOCKED = "LOCKED"
    AVAILABLE = "AVAILABLE"
    CLAIMED = "CLAIMED"
    AI_REVIEW = "AI_REVIEW"
    HUMAN_REVIEW = "HUMAN_REVIEW"
    VALIDATED = "VALIDATED"
    CANCELLED = "CANCELLED"


class SubmissionStatus(StrEnum):
    """Where a submission stands: advisory review first, then a person's verdict."""

    PENDING_AI = "PENDING_AI"
    AI_APPROVED = "AI_APPROVED"
    AI_FLAGGED = "AI_FLAGGED"
    HUMAN_APPROVED = "HUMAN_APPROVED"
    REJECTED = "REJECTED"


class Verdict(StrEnum):
    """What an administrator decides about a submission."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"


class ReleaseReason(StrEnum):
    """Why a contributor no longer holds a task."""

    ABANDONED = "ABANDONED"
    EXPIRED = "EXPIRED"
    REASSIGNED = "REASSIGNED"
    EXHAUSTED = "EXHAUSTED"


class Level(StrEnum):
    """A contributor's standing, reached by points and never lost; the order is `progress.LEVEL_POINTS`."""

    ROOKIE = "ROOKIE"
    PRO = "PRO"
    EXPERT = "EXPERT"
    VIP = "VIP"
