"""Celery with its defaults: a worker a processor, acknowledged before the work, published without confirms."""

from celery import Celery
from trivial import NOTE, QUEUE, URL, heard, published

app = Celery("bench", broker=URL)
app.conf.task_default_queue = QUEUE
app.conf.task_ignore_result = True


@app.task
def take(_note: str) -> None:
    """The handler."""
    heard()


def publish(count: int) -> None:
    """One after the other."""
    for _ in range(count):
        take.delay(NOTE)


if __name__ == "__main__":
    from celery_peer import publish as as_the_worker_knows_it

    published(as_the_worker_knows_it)
