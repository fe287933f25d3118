"""The load: wrk, which outruns a gateway on one processor, with requests from a file."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import NothingMeasured
from bench.gateway.processes import LOOPBACK, cores, program
from bench.timing import ROUNDS

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 32
ANSWER_SECONDS = 5
AGAIN_SECONDS = 0.3
TURN_SECONDS = 0.6
"""The shortest turn that tells anything: wrk itself takes a moment to begin."""
LONGEST_SECONDS = 300
"""A load ends by itself after this, whatever happens to who began it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load."""

    requests: int
    seconds: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: dict[str, int]
    """Connections that failed, by what failed."""
    statuses: dict[str, int]
    """Answers by status, when they were counted."""

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.refused + sum(self.broken.values())


def turn(seconds: float) -> float:
    """How long each of ROUNDS turns lasts when they last `seconds` together."""
    return max(TURN_SECONDS, seconds / ROUNDS)


def write_requests(path: Path, requests: Iterable[tuple[str, str | None]]) -> Path:
    """Requests for the load, each a path and a token."""
    path.write_text("".join(f"{address} {token or '-'}\n" for address, token in requests), encoding="ascii")
    return path


class Load:
    """A load that goes on until it is told to end. It comes from the processor that is not the gateway's."""

    def __init__(self, port: int, requests: Path, *, count: bool = False) -> None:
        command = [
            *("setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(cores()[1]), program("wrk", "wrk")),
            *("--threads", "1", "--connections", str(CONNECTIONS), "--timeout", f"{ANSWER_SECONDS}s"),
            *("--duration", f"{LONGEST_SECONDS}s", "--script", str(SCRIPT), f"http://{LOOPBACK}:{port}"),
            *("--", str(requests), *(["count"] if count else [])),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def after(self, seconds: float) -> Outcome:
        """Let it go on for so long; what came of it."""
        threading.Event().wait(seconds)
        return self.outcome()

    def outcome(self) -> Outcome:
        """End it; what came of it. Raises NothingMeasured."""
        output, errors = self._ended()
        if self._process.returncode:
            raise NothingMeasured(f"wrk failed: {(errors or output).strip()[-300:]}")
        return parse(output)

    def _ended(self) -> tuple[str, str]:
        # A signal that comes before wrk begins to wait does not end its waiting: it is told again.
        while True:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return self._process.communicate(timeout=AGAIN_SECONDS)

    def break_off(self) -> None:
        """End it without asking what came of it; one that is over stays so."""
        self._process.kill()
        self._process.communicate()


def parse(output: str) -> Outcome:
    """What the script wrote last."""
    seen: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    statuses: dict[str, int] = {}
    for thread in seen["statuses"]:
        for status, number in thread.items():
            statuses[status] = statuses.get(status, 0) + number
    broken = {name: seen[name] for name in ("connect", "read", "write", "timeout") if seen[name]}
    return Outcome(seen["requests"], seen["seconds"], seen["refused"], broken, statuses)
