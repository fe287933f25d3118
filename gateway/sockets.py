"""The Unix sockets of the gateway's own processes: their names, how they are opened and reached."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.folder import Folder

PAGES: Final = "pages.sock"
CONTROL: Final = "control.sock"
MEASURES: Final = "measures.sock"


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name for a socket that fits the 108 bytes a Unix address may have, however deep the folder is."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


def listening(folder: Folder, name: str, backlog: int) -> socket.socket:
    """A new socket of this name that its owner alone may connect to; whatever had the name before it is gone.

    Nobody finds it before it listens: until then it has another name.
    """
    path = folder.run / name
    draft = path.with_name(f"{name}.draft")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with short_path(draft) as short:
        listener.bind(short)
    draft.chmod(0o600)
    listener.listen(backlog)
    draft.replace(path)
    return listener
