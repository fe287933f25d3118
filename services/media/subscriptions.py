"""What media listens to: which files were handed in."""

from libs.common.db import Transaction
from libs.common.events import on
from services.media import use_cases
from services.tasks.events import TaskSubmitted


@on(TaskSubmitted)
def keep_submitted(event: TaskSubmitted, tx: Transaction) -> None:
    """The files of a submission are evidence from now on."""
    use_cases.keep_submitted(tx, (each.media_id for each in event.media), event.contributor_id)
