"""Which ports are listened on, on this machine, as Linux tells it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LISTENS: Final = "0A"
"""proc(5), /proc/net/tcp, column `st`."""
_FAMILIES: Final = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}


def listening(folder: Path = Path("/proc/net")) -> Iterator[tuple[int, str]]:
    """Every (port, address) that something listens on."""
    for name, family in _FAMILIES.items():
        path = folder / name
        for line in path.read_text(encoding="ascii").splitlines()[1:] if path.exists() else ():
            _, local, _, state = line.split()[:4]
            if state == LISTENS:
                address, _, port = local.partition(":")
                yield int(port, 16), _readable(address, family)


def _readable(address: str, family: socket.AddressFamily) -> str:
    """Words of four bytes, each as the processor keeps them."""
    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    text = socket.inet_ntop(family, b"".join(words))
    return text.removeprefix("::ffff:") if text != "::1" else "127.0.0.1"
