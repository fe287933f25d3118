"""The supervisor (supervisord): its generated configuration, and a client for its XML-RPC over a Unix socket."""

import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy  # nosec B411 - spoken to our own supervisor, through a socket of our user

from supervisor.xmlrpc import SupervisorTransport

from ops.errors import OperationError
from ops.layout import Layout
from ops.leftovers import MARKER
from ops.programs import GUARDIAN, Program

GUARDIAN_NAME = "guardian"
LOG_BYTES = 10_000_000
LOG_BACKUPS = 3
START_SECONDS = 10
POLL_SECONDS = 0.05
# Practically for ever: a server that is away for minutes must not leave its clients given up.
START_RETRIES = 1_000_000
DOWN_STATES = frozenset({"STOPPED", "EXITED", "FATAL"})


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the supervisor says about one process."""

    name: str
    state: str
    pid: int
    uptime_seconds: int


def configuration(layout: Layout, programs: Iterable[Program]) -> str:
    """The supervisor's configuration file for these programs and the guardian."""
    everything = [guardian(layout), *programs]
    return "\n".join([_head(layout), *(_section(layout, program) for program in everything)])


def guardian(layout: Layout) -> Program:
    """The process that starts a new supervisor when the old one was killed."""
    command = (sys.executable, "-m", "ops.guardian", str(configuration_path(layout)))
    return Program(name=GUARDIAN_NAME, command=command, directory=layout.root, stop_seconds=3, priority=GUARDIAN)


def configuration_path(layout: Layout) -> Path:
    """Where the generated configuration stands."""
    return layout.run / "supervisord.conf"


def contains(layout: Layout, programs: Iterable[Program]) -> bool:
    """Whether the configuration in force has exactly these sections among others."""
    path = configuration_path(layout)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return all(_section(layout, program) in text for program in programs)


def _head(layout: Layout) -> str:
    return "\n".join(
        [
            "[unix_http_server]",
            f"file={_plain(layout.supervisor_socket)}",
            "chmod=0700",
            "[supervisord]",
            f"logfile={_plain(layout.logs / 'supervisor.log')}",
            f"logfile_maxbytes={LOG_BYTES}",
            f"logfile_backups={LOG_BACKUPS}",
            f"pidfile={_plain(layout.run / 'supervisord.pid')}",
            f"childlogdir={_plain(layout.logs)}",
            f"directory={_plain(layout.root)}",
            "umask=077",
            "silent=true",
            *(["user=root"] if layout.as_root else []),
            f"environment={_environment({MARKER: str(layout.state)})}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "",
        ]
    )


def _section(layout: Layout, program: Program) -> str:
    log = layout.logs / f"{program.name}.log"
    return "\n".join(
        [
            f"[program:{program.name}]",
            f"command={_plain(shlex.join(program.command))}",
            f"directory={_plain(program.directory)}",
            f"environment={_environment(program.environment)}",
            f"priority={program.priority}",
            "autostart=true",
            "autorestart=true",
            "startsecs=1",
            f"startretries={START_RETRIES}",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_plain(log)}",
            f"stdout_logfile_maxbytes={LOG_BYTES}",
            f"stdout_logfile_backups={LOG_BACKUPS}",
            "",
        ]
    )


def _plain(value: object) -> str:
    """A value without the meanings that the format gives to `%`, line ends, ` ;` and ` #`. Raises OperationError."""
    text = str(value)
    if "\n" in text or " ;" in text or " #" in text:
        raise OperationError(f"The supervisor's configuration cannot hold {text!r}: choose a path without ' ;' and ' #'.")
    return text.replace("%", "%%")


def _environment(values: dict[str, str]) -> str:
    return ",".join(f"{name}={_quoted(value)}" for name, value in sorted(values.items()))


def _quoted(value: str) -> str:
    # Its parser strips quotation marks of both kinds from the ends of a value, wherever they came from.
    if '"' in value or value != value.strip("'"):
        raise OperationError(f"The supervisor's configuration cannot hold the quotation marks of {value!r}.")
    return f'"{_plain(value)}"'


class _Transport(SupervisorTransport):  # type: ignore[misc]  # the package has no types
    """Closes its socket after each call: the commands are short and the interpreter reports what is left open."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().request(*arguments, **options)
        finally:
            self.close()


class Supervisor:
    """Talks to the supervisor of one platform."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    def _server(self) -> Any:
        transport = _Transport(None, None, serverurl=f"unix://{self.layout.supervisor_socket}")
        return cast("Any", ServerProxy("http://127.0.0.1", transport=transport)).supervisor

    def pid(self) -> int | None:
        """The supervisor's process id, or None when it does not run."""
        try:
            return int(self._server.getPID())
        except (OSError, HTTPException, Fault):
            return None

    def launch(self) -> None:
        """Start the supervisor in the background. Raises OperationError."""
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration_path(self.layout))]
        environment = clean_environment() | {MARKER: str(self.layout.state)}
        done = subprocess.run(command, cwd=self.layout.root, env=environment, capture_output=True, text=True, check=False)
        deadline = monotonic() + START_SECONDS
        while self.pid() is None:
            if done.returncode != 0 or monotonic() > deadline:
                raise OperationError("The supervisor did not start.", details=(done.stderr or done.stdout).strip())
            sleep(POLL_SECONDS)

    def processes(self) -> dict[str, ProcessState]:
        """Every process by name."""
        states = {}
        for info in self._server.getAllProcessInfo():
            running = info["statename"] == "RUNNING"
            uptime = int(info["now"] - info["start"]) if running else 0
            states[info["name"]] = ProcessState(info["name"], info["statename"], int(info["pid"]), uptime)
        return states

    def apply(self, text: str) -> list[str]:
        """Make what runs equal to the configuration `text`; returns the names of the processes that it touched."""
        write_configuration(self.layout, text)
        added, changed, removed = self._server.reloadConfig()[0]
        self.stop([*changed, *removed])
        for name in (*changed, *removed):
            self._server.removeProcessGroup(name)
        for name in (*added, *changed):
            self._server.addProcessGroup(name)
        return [*added, *changed, *removed]

    def revive(self) -> list[str]:
        """Start what is down: stopped by hand, or given up; returns its names."""
        down = [name for name, state in self.processes().items() if state.state in DOWN_STATES]
        for name in down:
            with suppress(Fault):  # started meanwhile
                self._server.startProcess(name, False)
        return down

    def stop(self, names: Sequence[str]) -> None:
        """Stop processes side by side and wait until they are gone; the supervisor kills those that do not obey in time."""
        for name in names:
            try:
                self._server.stopProcess(name, False)
            except Fault:
                continue  # not running: nothing to stop
        while any(state.state not in DOWN_STATES for name, state in self.processes().items() if name in names):
            sleep(POLL_SECONDS)

    def shut_down(self) -> None:
        """End the supervisor itself, with whatever still runs under it, and wait until it is gone."""
        pid = self.pid()
        self._server.shutdown()
        while pid is not None and Path(f"/proc/{pid}").exists():
            sleep(POLL_SECONDS)


def write_configuration(layout: Layout, text: str) -> None:
    """Write the configuration file, for this user only."""
    path = configuration_path(layout)
    draft = path.with_suffix(".draft")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def clean_environment() -> dict[str, str]:
    """What supervised processes start from: nothing of the operator's shell."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
