"""All figures of the gateway, in one run."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure
from bench.gateway import changes, growth, latency, peers, streams, throughput
from bench.gateway.notify import notify
from bench.gateway.stage import answerer, door, everywhere, keys_of_auth
from bench.timing import bounded
from libs.common.config import process_environment
from libs.common.testing import TestKeys

MEASURE_SECONDS = 540
"""The longest that all may take, once the servers run and the peers are installed."""


def measure(seconds: float) -> list[Figure]:
    """Rates and costs beside others, added time, cost as routes grow, changes under load, idle streams, memory."""
    peers.install()
    keys = TestKeys()
    with bounded(MEASURE_SECONDS), streams.many_open_files(), ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="lumiere-bench-")))
        auth_url = stack.enter_context(keys_of_auth(keys))
        service = stack.enter_context(answerer())
        entrance = stack.enter_context(
            door(folder / "platform", process_environment()["AMQP_URL"], keys, auth_url, everywhere(service))
        )
        real = stack.enter_context(notify(entrance.layout.origin, keys, auth_url))
        with real.replica("web") as web:
            port = int(web.address.rpartition(":")[2])
            figures = throughput.measure(entrance, service, web.address, folder, seconds)
            figures += latency.measure(entrance, port, seconds)
            entrance.send_to(everywhere(service))
        figures += throughput.memory(entrance)
        figures += growth.measure(service, folder, seconds)
        figures += changes.measure(entrance, real, folder, seconds)
        return figures + streams.measure(entrance, real, seconds)
