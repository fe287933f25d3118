"""A Postgres primary and its standbys: who is which, how far each is, and promoting one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import SQLAlchemyError

from libs.common.db.database import psycopg2_url, single_connection_engine
from ops.errors import OperationError

CONNECT_SECONDS: Final = 3
PROMOTE_SECONDS: Final = 60
PRIMARY, STANDBY, AWAY = "primary", "standby", "away"

_ROLE = text("SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names')")
_STANDBYS = text(
    "SELECT application_name AS name, state, sync_state,"
    " coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint AS behind_bytes FROM pg_stat_replication"
    " ORDER BY application_name"
)
_BEHIND = text("SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), 0)::bigint")
_WITHOUT_STANDBY = text("ALTER SYSTEM SET synchronous_standby_names = ''")
_PROMOTE = text("SELECT pg_promote(true, :seconds)")


@dataclass(frozen=True)
class Standby:
    """What a primary says of one that follows it."""

    name: str
    state: str
    synchronous: bool
    behind_bytes: int


@dataclass(frozen=True)
class Database:
    """One server."""

    address: str
    role: str
    waits_for: str = ""
    """Of a primary: whose word each commit waits for (`synchronous_standby_names`); empty: nobody's."""
    standbys: list[Standby] = field(default_factory=list)
    unapplied_bytes: int = 0
    """Of a standby: received and not applied yet."""


def each_server(url: str) -> list[URL]:
    """The servers of an address, each by itself and whatever its role."""
    whole = psycopg2_url(url)
    hosts = whole.query.get("host", ())
    bare = whole.difference_update_query(["host", "port", "target_session_attrs"])
    if not hosts:
        return [bare]
    found = []
    for each in [hosts] if isinstance(hosts, str) else hosts:
        host, _, port = each.partition(":")
        found.append(bare.set(host=host, port=int(port or 5432)))
    return found


def examine(server: URL) -> Database:
    """What a server says of itself; one that says nothing is away. Raises OperationError when it does not let us look."""
    address = f"{server.host}:{server.port or 5432}"
    try:
        with single_connection_engine(server, connect_seconds=CONNECT_SECONDS).connect() as connection:
            in_recovery, waits_for = connection.execute(_ROLE).one()
            if in_recovery:
                return Database(address, STANDBY, unapplied_bytes=connection.execute(_BEHIND).scalar_one())
            return Database(address, PRIMARY, waits_for, _standbys(connection))
    except SQLAlchemyError:
        return Database(address, AWAY)


def _standbys(connection: Connection) -> list[Standby]:
    rows = connection.execute(_STANDBYS)
    return [Standby(row.name, row.state, row.sync_state in {"sync", "quorum"}, row.behind_bytes) for row in rows]


def attention(found: Sequence[Database]) -> list[str]:
    """What an operator must look at, in sentences."""
    primaries = [each for each in found if each.role == PRIMARY]
    sentences = [f"the database at {each.address} does not answer" for each in found if each.role == AWAY]
    if not primaries:
        sentences.append("no database is the primary: nothing can be written until a standby is promoted")
    if len(primaries) > 1:
        both = " and ".join(each.address for each in primaries)
        sentences.append(f"{both} both say that they are the primary: shut off the one that was replaced, at once")
    for each in primaries:
        following = [standby for standby in each.standbys if standby.state == "streaming"]
        if len(found) > 1 and not each.waits_for:
            sentences.append(f"{each.address} waits for no standby: what it acknowledges stands on one machine only")
        if each.waits_for and not any(standby.synchronous for standby in following):
            sentences.append(f"{each.address} waits for {each.waits_for}, and nobody of them follows: commits stand still")
    return sentences


def promote(url: str, chosen: str) -> dict[str, Any]:
    """Make the standby at `chosen` (host:port) the primary. Returns its address and the seconds that it took.

    Raises OperationError when another still answers as primary (two would take commits), when the chosen one is no standby that
    answers, or when it does not become the primary in time.
    """
    servers = {f"{each.host}:{each.port or 5432}": each for each in each_server(url)}
    if chosen not in servers:
        raise OperationError(f"{chosen} is not among the databases of the address: {', '.join(servers)}.")
    found = {address: examine(server) for address, server in servers.items()}
    for other in found.values():
        if other.role == PRIMARY:
            raise OperationError(
                f"{other.address} still answers as the primary. Stop it and see that it stays down (docs/cluster.md, fencing)."
            )
    if found[chosen].role != STANDBY:
        raise OperationError(f"{chosen} does not answer as a standby.")
    begun = monotonic()
    with single_connection_engine(servers[chosen], connect_seconds=CONNECT_SECONDS).connect() as connection:
        # Alone it has nobody to wait for. A standby that is made later is waited for once an operator says so.
        connection.execute(_WITHOUT_STANDBY)
        if not connection.scalar(_PROMOTE, {"seconds": PROMOTE_SECONDS}):
            raise OperationError(f"{chosen} did not become the primary within {PROMOTE_SECONDS} s: look at its log.")
        connection.scalar(text("SELECT pg_reload_conf()"))
        seconds = round(monotonic() - begun, 3)
        # Until then its control file tells of the old timeline, and pg_rewind of the replaced primary would find nothing to do.
        connection.execute(text("CHECKPOINT"))
    return {"primary": chosen, "seconds": seconds}
