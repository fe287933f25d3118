"""Facts that the tests of notify begin from."""

from datetime import datetime, timedelta
from uuid import UUID

from libs.common import clock
from libs.common.events import Personal
from libs.common.ids import new_id
from libs.common.money import Money
from services.auth.events import EmailRequested, UserRegistered
from services.payments.events import LumensChanged
from services.tasks.events import SubmissionReviewed, TaskValidated

ADDRESS = "ada.lovelace@example.org"
NAME = "Ada Lovelace"
LINK = "http://127.0.0.1:8080/verify-email?token=a-secret-token"


def user_registered(
    user_id: UUID | None = None, *, locale: str = "en", address: str = ADDRESS, name: str = NAME
) -> UserRegistered:
    """A new account."""
    user_id = user_id or new_id()
    return UserRegistered(
        user_id=user_id,
        email=Personal.of(address, about=user_id),
        display_name=Personal.of(name, about=user_id),
        role="CONTRIBUTOR",
        locale=locale,
    )


def email_requested(
    user_id: UUID | None = None, *, locale: str = "en", template: str = "VERIFY_EMAIL", expires_at: datetime | None = None
) -> EmailRequested:
    """An e-mail with a one-time link."""
    user_id = user_id or new_id()
    return EmailRequested(
        email_id=new_id(),
        user_id=user_id,
        recipient=Personal.of(ADDRESS, about=user_id),
        template=template,
        variables=Personal.of({"display_name": NAME, "link": LINK, "token": "a-secret-token"}, about=user_id),
        locale=locale,
        expires_at=expires_at or clock.now() + timedelta(hours=24),
    )


def task_validated(contributor_id: UUID, title: str = "Moon rocket") -> TaskValidated:
    """Accepted work."""
    return TaskValidated(
        task_id=new_id(),
        film_id=new_id(),
        submission_id=new_id(),
        contributor_id=contributor_id,
        reviewer_id=new_id(),
        price=Money(amount=5_000),
        lumens=10,
        points=50,
        task_title=title,
        film_title="Le Voyage dans la Lune",
    )


def submission_reviewed(contributor_id: UUID, *, stage: str = "HUMAN", verdict: str = "REJECT") -> SubmissionReviewed:
    """A verdict on a submission."""
    return SubmissionReviewed(
        task_id=new_id(),
        film_id=new_id(),
        submission_id=new_id(),
        contributor_id=contributor_id,
        stage=stage,
        verdict=verdict,
        score=None,
        mock=False,
        attempts_left=2,
    )


def lumens_changed(user_id: UUID, amount: int = 10, balance_after: int = 10) -> LumensChanged:
    """Lumens that came or went."""
    return LumensChanged(
        user_id=user_id,
        entry_id=new_id(),
        amount=amount,
        reason="TASK_REWARD",
        reference_id=new_id(),
        balance_after=balance_after,
    )
