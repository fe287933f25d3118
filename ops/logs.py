"""Show log files side by side, each line under the name of its process; keep up with rotation."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import TextIO

from ops.console import out
from ops.errors import OperationError

POLL_SECONDS = 0.25


class _Followed:
    """One log file, read on from where it was left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self.file: TextIO | None = None
        self.inode = 0

    def past(self, lines: int) -> list[str]:
        """The last lines; the rest counts as read."""
        self._open()
        return list(deque(self.file or (), maxlen=lines))

    def new(self) -> list[str]:
        """Lines written since; a file that was rotated away is read to its end first."""
        lines = list(self.file or ())
        if self._replaced():
            self._open()
            lines += list(self.file or ())
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self.file:
            self.file.close()

    def _open(self) -> None:
        self.close()
        try:
            self.file = self.path.open(encoding="utf-8", errors="replace")
            self.inode = self.path.stat().st_ino
        except OSError:
            self.file, self.inode = None, 0

    def _replaced(self) -> bool:
        try:
            return self.path.stat().st_ino != self.inode
        except OSError:
            return False


def chosen(folder: Path, services: Sequence[str]) -> list[Path]:
    """The log files of all processes, or of those that `services` name. Raises OperationError when there is none."""
    files = sorted(folder.glob("*.log"))
    if services:
        files = [path for path in files if any(path.stem == name or path.stem.startswith(f"{name}-") for name in services)]
    if not files:
        names = ", ".join(sorted({path.stem for path in folder.glob("*.log")})) or "none yet; start the platform with `make up`"
        raise OperationError(f"There is no such log. Known ones: {names}.")
    return files


def show(folder: Path, services: Sequence[str], *, follow: bool, lines: int) -> None:
    """Print the ends of the logs and, when asked, what is added until interrupted."""
    followed = [_Followed(path) for path in chosen(folder, services)]
    width = max(len(each.name) for each in followed)
    try:
        for each in followed:
            _write(each.name, width, each.past(lines))
        while follow:
            for each in followed:
                _write(each.name, width, each.new())
            sleep(POLL_SECONDS)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        for each in followed:
            each.close()


def _write(name: str, width: int, lines: Sequence[str]) -> None:
    for line in lines:
        out.file.write(f"{name:<{width}} │ {line.rstrip()}\n")
    out.file.flush()
