"""Server processes of a rehearsal: started, killed without a word, started again, and all gone at its end."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ops.supervisor import clean_environment

END_SECONDS: Final = 30
COMMAND_SECONDS: Final = 120


@dataclass
class Server:
    """One server, in a process group of its own: what it starts dies with it."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; it may take a while until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env=clean_environment() | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a power cut would. Raises AssertionError when it did not run."""
        assert self.process is not None
        assert self.alive, f"{self.name} was not running: killing it would prove nothing, see {self.log}"
        family = _descendants(self.process.pid)
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in family:  # those of Postgres have sessions of their own
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process.wait(END_SECONDS) == -signal.SIGKILL, f"{self.name} did not end by the signal"

    def stop(self) -> None:
        """End it in order; one that does not obey is killed."""
        if self.process is None or not self.alive:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []  # gone meanwhile
    return [*children, *(each for child in children for each in _descendants(child))]


def run(arguments: Sequence[str], environment: dict[str, str]) -> str:
    """Run a tool of a server; what it printed. Raises AssertionError with its complaint."""
    done = subprocess.run(
        arguments,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
        cwd="/",
    )
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr or done.stdout}"
    return done.stdout
