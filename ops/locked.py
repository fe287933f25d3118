"""Programs of others in an environment of their own, made from a lock: they share no version with the product."""

import subprocess
import sys
from pathlib import Path

from ops.errors import OperationError

STAMP = "lock"


def installed(lock: Path, place: Path) -> Path:
    """The `bin` folder of an environment that holds exactly what the lock names, hashes checked; made once for each lock.

    Raises OperationError with the installer's last line.
    """
    stamp, text = place / STAMP, lock.read_text(encoding="utf-8")
    programs = place / "bin"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == text:
        return programs
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(lock)]
    for command in ([sys.executable, "-m", "venv", "--clear", str(place)], [str(programs / "python"), "-m", "pip", *install]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OperationError(
                f"What {lock.name} names could not be installed: {last_line(done.stderr)}", details=done.stderr
            )
    stamp.write_text(text, encoding="utf-8")
    return programs


def last_line(text: str) -> str:
    """What a program said last; that is where they say what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
