"""What payments listens to."""

from libs.common.db import Transaction
from libs.common.events import on
from services.payments import use_cases
from services.payments.domain import Payer
from services.payments.use_cases import Work
from services.tasks.events import TaskValidated


@on(TaskValidated, ordered=True)
def pay_for_validated_task(event: TaskValidated, tx: Transaction, payer: Payer) -> None:
    """A validated task opens what is owed and earns its Lumens, each once."""
    work = Work(event.task_id, event.film_id, event.contributor_id, event.task_title, event.film_title)
    use_cases.open_payable(tx, work, event.price, payer)
    use_cases.reward_lumens(tx, task_id=event.task_id, contributor_id=event.contributor_id, lumens=event.lumens)
