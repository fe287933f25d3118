"""Auth alone behind a real gateway at `localhost`, where browsers let passkeys be used: they take no address for a domain."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import make_server

from gateway.discovery import FileTargets
from gateway.manifest import ROOT
from gateway.on_demand import OnDemand
from gateway.state import Gateway
from gateway.tests.running import RunningGateway, free_port
from gateway.tests.site import STATED, variables
from libs.common.auth import revocations
from libs.common.config import process_environment
from libs.common.testing import Harness


class Front(RunningGateway):
    """A gateway before auth as a harness runs it."""

    def another_gateway(self) -> Gateway:
        """With auth's own policy."""
        manifests = [ROOT / "gateway" / "policy.json", ROOT / "services" / "auth" / "policy.json"]
        return Gateway(self.door, self.folder, FileTargets(self.targets), lambda: manifests)

    @property
    def url(self) -> str:
        """Where browsers connect."""
        return self.door.issuer


def _synchronised(harness: Harness) -> None:
    """What a web process does in the background: without it the service is not ready."""
    assert revocations.poll(harness.assembled.revocations, harness.assembled.fetch_revocations)


@contextmanager
def front(root: Path, harness: Harness) -> Iterator[Front]:
    """Auth's pages as browsers get them; the harness's origin names the gateway's port."""
    origin = harness.environ["LUMIERE_ORIGIN"]
    upstream = make_server("127.0.0.1", free_port(), harness.application(), threaded=True)
    running = Front(root, issuer=origin, port=int(origin.rpartition(":")[2]))
    running.targets.write_text(f'{{"auth": {{"web": ["127.0.0.1:{upstream.port}"]}}}}', encoding="utf-8")
    stopped = threading.Event()
    environ = {**process_environment(), **variables(running.folder.root, **STATED)}
    pages = OnDemand(running.folder, environ=environ)
    threads = [threading.Thread(target=upstream.serve_forever), threading.Thread(target=pages.run, args=(stopped,))]
    try:
        _synchronised(harness)
        for thread in threads:
            thread.start()
        running.gateway.take_keys(harness.client().get("/.well-known/jwks.json").get_json())
        running.start()
        yield running
    finally:
        stopped.set()
        upstream.shutdown()
        for thread in threads:
            thread.join()
        running.close()
