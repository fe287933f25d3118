"""Facts and rows that the tests of payments begin from."""

from datetime import datetime
from uuid import UUID

from libs.common.ids import new_id
from libs.common.money import Money
from libs.common.testing import Harness
from services.payments.domain import Payer
from services.payments.use_cases import Work, open_payable
from services.tasks.events import TaskValidated


def task_validated(
    contributor_id: UUID | None = None,
    *,
    task_id: UUID | None = None,
    cents: int = 5_000,
    lumens: int = 10,
    title: str = "Moon rocket",
) -> TaskValidated:
    """A validated task."""
    return TaskValidated(
        task_id=task_id or new_id(),
        film_id=new_id(),
        submission_id=new_id(),
        contributor_id=contributor_id or new_id(),
        reviewer_id=new_id(),
        price=Money(amount=cents),
        lumens=lumens,
        points=50,
        task_title=title,
        film_title="Le Voyage dans la Lune",
    )


def a_payment(
    harness: Harness, contributor_id: UUID, *, cents: int = 5_000, title: str = "Moon rocket", at: datetime | None = None
) -> UUID:
    """A payable of this person, made at this moment."""
    with harness.transaction() as tx:
        tx.now = at or tx.now
        payment_id = open_payable(
            tx, Work(new_id(), new_id(), contributor_id, title, "Le Voyage dans la Lune"), Money(amount=cents), Payer.STRIPE
        )
    assert payment_id is not None
    return payment_id
