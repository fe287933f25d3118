"""What tasks measures of itself: where tasks stand."""

from prometheus_client import Gauge

from libs.common.db import Reader
from libs.common.measures import measure
from services.tasks.domain.values import TaskStatus
from services.tasks.queries import shown

TASKS = Gauge("lumiere_tasks", "Tasks of all films by status", ["status"])


@measure(seconds=60)
def tasks(db: Reader) -> None:
    """How many tasks stand where."""
    found = shown.tasks_by_status(db)
    for status in TaskStatus:
        TASKS.labels(status).set(found.get(status, 0))
