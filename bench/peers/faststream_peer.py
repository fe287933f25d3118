"""FastStream with its defaults: one process, one event loop."""

import asyncio

from faststream import FastStream
from faststream.rabbit import RabbitBroker, RabbitQueue
from trivial import NOTE, QUEUE, URL, heard, published

broker = RabbitBroker(URL)
app = FastStream(broker)
queue = RabbitQueue(QUEUE, durable=True)


@broker.subscriber(queue)
async def take(_note: str) -> None:
    """The handler."""
    heard()


async def _publish(count: int) -> None:
    async with broker:
        for _ in range(count):
            await broker.publish(NOTE, queue=QUEUE)


def publish(count: int) -> None:
    """One after the other."""
    asyncio.run(_publish(count))


if __name__ == "__main__":
    published(publish)
