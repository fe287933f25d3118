"""What the gateway has seen of the targets file."""

from collections.abc import Collection
from time import monotonic, sleep

from ops.errors import OperationError
from ops.layout import Layout

SEEN_SECONDS = 15.0
POLL_SECONDS = 0.1
STATE_COLUMNS = 19
ADDRESS_COLUMN, PORT_COLUMN = 4, 18


def await_gateway(layout: Layout, present: Collection[str], absent: Collection[str]) -> None:
    """Wait until the gateway sends requests to all of `present` and none of `absent` (host:port). Raises OperationError."""
    from gateway.folder import Folder
    from gateway.haproxy import Haproxy, HaproxyAway

    haproxy = Haproxy(Folder(layout.gateway_folder))

    def known() -> set[str]:
        try:
            return addresses(haproxy.command("show servers state"))
        except HaproxyAway:
            return set()

    deadline = monotonic() + SEEN_SECONDS
    while True:
        serving = known()
        if set(present) <= serving and not set(absent) & serving:
            return
        if monotonic() > deadline:
            raise OperationError(
                f"The gateway did not take over the changed replicas within {SEEN_SECONDS:.0f} s. "
                "`make logs SERVICE=gateway` says why; `make up` brings everything back to the kept scale."
            )
        sleep(POLL_SECONDS)


def addresses(servers_state: str) -> set[str]:
    """The addresses of all servers in an answer to `show servers state` (HAProxy management guide, section 9.3)."""
    rows = (line.split() for line in servers_state.splitlines())
    return {f"{row[ADDRESS_COLUMN]}:{row[PORT_COLUMN]}" for row in rows if len(row) >= STATE_COLUMNS and row[0].isdecimal()}
