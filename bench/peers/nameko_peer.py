"""Nameko with its defaults: one process, ten green threads."""

from nameko.events import event_handler
from nameko.standalone.events import event_dispatcher
from trivial import NOTE, QUEUE, URL, heard, published


class Taker:
    """The service; its queue bears its name."""

    name = QUEUE

    @event_handler("studio", "noted")
    def take(self, _note: str) -> None:
        """The handler."""
        heard()


def publish(count: int) -> None:
    """One after the other."""
    dispatch = event_dispatcher({"AMQP_URI": URL})
    for _ in range(count):
        dispatch("studio", "noted", NOTE)


if __name__ == "__main__":
    published(publish)
