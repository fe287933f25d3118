"""Dramatiq with its defaults: a process a processor with eight threads each, published without confirms."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from trivial import NOTE, QUEUE, URL, heard, published

dramatiq.set_broker(RabbitmqBroker(url=URL))


@dramatiq.actor(queue_name=QUEUE)
def take(_note: str) -> None:
    """The handler."""
    heard()


def publish(count: int) -> None:
    """One after the other."""
    for _ in range(count):
        take.send(NOTE)


if __name__ == "__main__":
    published(publish)
