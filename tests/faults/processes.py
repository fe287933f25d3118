"""Relays and consumers as processes of their own, to be killed and started again."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from libs.common.config import process_environment
from libs.common.events.tests.live import RUN
from libs.common.events.tests.platform import Platform
from ops.settings import ROOT
from tests.faults.crashes import CRASH
from tests.faults.process import CINEMA_URL, CONSUMER, READY, STUDIO_URL

WAIT_SECONDS: Final = 30


@dataclass
class Processes:
    """Processes named `<role>-<number>`; the logs of each name stand in one file."""

    platform: Platform
    log: Path
    alive: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    """By role: processes that ended by SIGKILL and were replaced by another."""
    starts: Counter[str] = field(default_factory=Counter)

    def start(self, name: str, crash: str = "") -> None:
        """Start one; `crash` names the point at which it is to die."""
        platform = self.platform
        environ = process_environment() | {
            "LUMIERE_TEST_RUN": RUN,
            STUDIO_URL: _named(platform.studio.url.render_as_string(hide_password=False), name),
            CINEMA_URL: _named(platform.cinema.url.render_as_string(hide_password=False), name),
            CONSUMER: platform.consumer,
            CRASH: crash,
            "AMQP_URL": platform.amqp_url,
        }
        with self._log(name).open("ab") as log:
            command = [sys.executable, "-m", "tests.faults.process", _role(name)]
            self.alive[name] = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=ROOT)
        self.starts[name] += 1

    def started(self, name: str) -> bool:
        return self._log(name).read_text(encoding="utf-8", errors="replace").splitlines().count(READY) >= self.starts[name]

    def all_started(self) -> bool:
        return all(self.started(name) for name in self.alive)

    def kill(self, names: Iterable[str]) -> None:
        """Kill -9 these at once and start others in their places. Raises AssertionError for one that was dead before."""
        dying = {name: self.alive[name] for name in names}
        for name, process in dying.items():
            assert process.poll() is None, f"{name} ended by itself: {process.returncode}, see {self._log(name)}"
            process.send_signal(signal.SIGKILL)
        for name, process in dying.items():
            assert process.wait(WAIT_SECONDS) == -signal.SIGKILL, f"{name} did not end by the signal"
            self.start(name)
            assert self.alive[name].pid != process.pid
            self.kills[_role(name)] += 1

    def leave_dead(self, name: str) -> None:
        """Kill -9 without a successor."""
        process = self.alive.pop(name)
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL

    def crashed(self, name: str) -> bool:
        """Whether it has died by SIGKILL. Raises AssertionError when it ended in another way."""
        code = self.alive[name].poll()
        assert code in (None, -signal.SIGKILL), f"{name} ended with {code}, see {self._log(name)}"
        return code is not None

    def said(self, name: str, line: str) -> bool:
        return line in self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()

    def drain(self) -> list[int]:
        """End all by SIGTERM; their exit statuses."""
        ending, self.alive = list(self.alive.values()), {}
        for process in ending:
            process.terminate()
        return [process.wait(WAIT_SECONDS) for process in ending]

    def end(self) -> None:
        for process in self.alive.values():
            if process.poll() is None:
                process.kill()
                process.wait(WAIT_SECONDS)

    def _log(self, name: str) -> Path:
        return self.log / f"{name}.log"


def _role(name: str) -> str:
    return name.partition("-")[0]


def _named(url: str, name: str) -> str:
    """Connections that give no other name say who they belong to: those of locks, for one."""
    return f"{url}{'&' if '?' in url else '?'}application_name={name}"
