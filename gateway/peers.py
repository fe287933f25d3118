"""Gateways side by side that count requests together: who they are, and where they stand now.

HAProxy tells each count to the others as it changes (its peers protocol), and the last word counts: two that count the same
client in the same instant may both say the same number. So what they permit together lies between the limit and the limit
times the number of gateways, and near the limit where requests do not come all at once (docs/figures.md).
"""

import re
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from gateway import limits

ALONE: Final = "gateway"
"""The name of a gateway without others."""
NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_PEER: Final = re.compile(r"^(?P<name>[^=\s]+)=(?P<host>[A-Za-z0-9.-]{1,253}):(?P<port>[0-9]{1,5})$")
_ADDRESS: Final = re.compile(r"^[0-9.]+$")


@dataclass(frozen=True, slots=True)
class Peer:
    """One gateway, by the name that it has among them."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Peers:
    """All gateways that count together; the first is this one."""

    own: Peer
    others: tuple[Peer, ...]

    @property
    def binds(self) -> str:
        """Where this one listens: at its address, or where its name stands for an address that changes, everywhere."""
        return self.own.address if _ADDRESS.match(self.own.host) else f"*:{self.own.port}"


def peers_of(text: str, own: str | None) -> Peers:
    """Read `one=10.0.0.1:10240,two=10.0.0.2:10240`. Raises ValueError for what cannot be meant."""
    found = [_PEER.match(each.strip()) for each in text.split(",")]
    peers = [Peer(each["name"], each["host"], int(each["port"])) for each in found if each and NAME.match(each["name"])]
    if len(peers) < len(found) or not all(0 < each.port <= 65_535 for each in peers):
        raise ValueError("must be name=host:port, with commas between gateways")
    if len({each.name for each in peers}) < len(peers) or len({each.address for each in peers}) < len(peers):
        raise ValueError("must name each gateway once")
    if not 2 <= len(peers) <= limits.GATEWAYS_MAX:
        raise ValueError(f"must name 2 to {limits.GATEWAYS_MAX} gateways, this one among them")
    mine = next((each for each in peers if each.name == own), None)
    if mine is None:
        raise ValueError("must name this gateway too: GATEWAY_PEER is its name among them")
    return Peers(mine, tuple(each for each in peers if each is not mine))


@dataclass
class Whereabouts:
    """The addresses behind the others' names. One that cannot be looked up keeps the address that it had."""

    _known: dict[str, str] = field(default_factory=dict)
    _lookups: ThreadPoolExecutor | None = None

    def now(self, peers: Peers | None) -> tuple[Peer, ...]:
        """The others by address; who has none yet is left out."""
        if peers is None:
            return ()
        names = [each.host for each in peers.others if not _ADDRESS.match(each.host)]
        if names:
            self._look_up(names)
        found = ((each, each.host if _ADDRESS.match(each.host) else self._known.get(each.host)) for each in peers.others)
        return tuple(Peer(each.name, host, each.port) for each, host in found if host)

    def _look_up(self, names: list[str]) -> None:
        if self._lookups is None:
            self._lookups = ThreadPoolExecutor(limits.LOOKUPS_AT_ONCE, "peers")
        lookups = {name: self._lookups.submit(_first_address, name) for name in names}
        wait(lookups.values(), limits.LOOKUP_SECONDS)
        for name, lookup in lookups.items():
            if lookup.done() and (address := lookup.result()) is not None:
                self._known[name] = address
            else:
                lookup.cancel()


def _first_address(name: str) -> str | None:
    try:
        answers = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return None
    return min(str(answer[4][0]) for answer in answers)
