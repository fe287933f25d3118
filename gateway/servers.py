"""What HAProxy's own texts say about replicas.

Each of several has two names: its own, under which failed answers count, and its spare's, under which its health alone does.
"""

import re
from collections.abc import Mapping

SPARE = "-spare"
EJECTED = "EJECTED"
RUNNING = "2"
_BACKEND = re.compile(r"^backend (\S+)$")
_SERVER = re.compile(r"^  server (\S+) (?:(?P<four>[0-9.]+)|\[(?P<six>[0-9A-Fa-f:]+)\]):(?P<port>[0-9]+) ")
_DOWN = "0 {backend} 0 {name} {address} 0 0 1 1 0 8 2 0 6 0 0 0 - {port} - 0 0 - - 0"
"""One line of `show servers state` (management guide, section 9.3) for a server whose checks have failed so far."""


def states(found: Mapping[str, str]) -> dict[str, str]:
    """One state a replica of a backend: one that is well by its spare's checks and yet given up was ejected for its answers."""
    well = {name.removesuffix(SPARE) for name, state in found.items() if name.endswith(SPARE) and state.startswith("UP")}
    return {
        name: EJECTED if name in well and not state.startswith("UP") else state
        for name, state in found.items()
        if not name.endswith(SPARE)
    }


def joining(configuration: str, state: str) -> str:
    """`show servers state` for the next worker: replicas that join others there are sent nothing before they pass a check.

    A backend of which no replica is known is believed to be well: nobody else could answer.
    """
    known: dict[str, set[str]] = {}
    for row in map(str.split, state.splitlines()):
        if len(row) > 5 and row[0].isdecimal() and row[5] == RUNNING:
            known.setdefault(row[1], set()).add(row[3].removesuffix(SPARE))
    mentioned = {(row[1], row[3].removesuffix(SPARE)) for row in map(str.split, state.splitlines()) if len(row) > 5}
    lines: list[str] = []
    for backend, servers in _servers(configuration).items():
        if not known.get(backend, set()) & {name.removesuffix(SPARE) for name in servers}:
            continue
        lines += [
            _DOWN.format(backend=backend, name=name, address=address, port=port)
            for name, (address, port) in servers.items()
            if (backend, name.removesuffix(SPARE)) not in mentioned
        ]
    return "\n".join([state.rstrip("\n"), *lines, ""])


def _servers(configuration: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Backend → server → address and port, as configured."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    backend = ""
    for line in configuration.splitlines():
        if match := _BACKEND.match(line):
            backend = match[1]
        elif match := _SERVER.match(f"{line} "):
            found.setdefault(backend, {})[match[1]] = (match["four"] or match["six"], match["port"])
    return found
