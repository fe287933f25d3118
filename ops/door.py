"""What the gateway has seen of the targets file."""

from collections.abc import Collection
from time import monotonic, sleep

from ops.errors import OperationError
from ops.layout import Layout

SEEN_SECONDS = 15.0
POLL_SECONDS = 0.1
STATE_COLUMNS = 19
NAME_COLUMN, ADDRESS_COLUMN, STATE_COLUMN, PORT_COLUMN = 3, 4, 5, 18
RUNNING, SPARE = "2", "-spare"
"""Of gateway/servers.py, which is not here in every container."""


def await_gateway(layout: Layout, present: Collection[str], absent: Collection[str]) -> None:
    """Wait until the gateway sends requests to all of `present` and none of `absent` (host:port). Raises OperationError."""
    from gateway.folder import Folder
    from gateway.haproxy import Haproxy, HaproxyAway

    haproxy = Haproxy(Folder(layout.gateway_folder))

    def known() -> tuple[set[str], set[str]]:
        try:
            state = haproxy.command("show servers state")
        except HaproxyAway:
            return set(), set()
        return addresses(state, serving=True), addresses(state)

    deadline = monotonic() + SEEN_SECONDS
    while True:
        serving, all_of_them = known()
        if set(present) <= serving and not set(absent) & all_of_them:
            return
        if monotonic() > deadline:
            raise OperationError(
                f"The gateway did not take over the changed replicas within {SEEN_SECONDS:.0f} s. "
                "`make logs SERVICE=gateway` says why; `make up` brings everything back to the kept scale."
            )
        sleep(POLL_SECONDS)


def addresses(servers_state: str, *, serving: bool = False) -> set[str]:
    """The addresses in an answer to `show servers state` (HAProxy management guide, section 9.3).

    Of all servers, or of those that requests are sent to; a replica's spare is no proof that it serves.
    """
    rows = [line.split() for line in servers_state.splitlines()]
    servers = [row for row in rows if len(row) >= STATE_COLUMNS and row[0].isdecimal()]
    chosen = [row for row in servers if row[STATE_COLUMN] == RUNNING and not row[NAME_COLUMN].endswith(SPARE)]
    return {f"{row[ADDRESS_COLUMN]}:{row[PORT_COLUMN]}" for row in (chosen if serving else servers)}
