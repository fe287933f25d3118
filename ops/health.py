"""Is a process well? Asked the way its clients would ask."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from time import monotonic, sleep

from ops import postgres, rabbitmq
from ops.console import err
from ops.errors import OperationError
from ops.layout import Layout
from ops.programs import Program
from ops.supervisor import ProcessState, Supervisor

POLL_SECONDS = 0.3
NAMED_MAX = 4
PROBE_SECONDS = 2.0
TOLD_EVERY_SECONDS = 5.0
LOG_TAIL_LINES = 15
PROBES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known about one process."""

    program: Program
    state: ProcessState | None
    healthy: bool

    @property
    def word(self) -> str:
        """One word for people: healthy, unhealthy, or the supervisor's own word when it does not run."""
        if self.state is None:
            return "absent"
        if self.state.state != "RUNNING":
            return self.state.state.lower()
        return "healthy" if self.healthy else "unhealthy"


class Doctor:
    """Examines the processes of one platform."""

    def __init__(self, layout: Layout, supervisor: Supervisor, database_url: str) -> None:
        self.layout = layout
        self.supervisor = supervisor
        self.database_url = database_url

    def examine(self, programs: Iterable[Program]) -> list[Condition]:
        """The condition of each program, probed side by side."""
        states = self.supervisor.processes()
        chosen = list(programs)

        def one(program: Program) -> Condition:
            state = states.get(program.name)
            running = state is not None and state.state == "RUNNING"
            return Condition(program, state, running and self._well(program))

        with ThreadPoolExecutor(PROBES_AT_ONCE) as pool:
            return list(pool.map(one, chosen))

    def _well(self, program: Program) -> bool:
        port = program.port or 0
        probes: dict[str, Callable[[], bool]] = {
            "running": lambda: True,
            "postgres": lambda: postgres.answers(self.database_url),
            "amqp": lambda: rabbitmq.broker_answers(port),
            "epmd": lambda: rabbitmq.mapper_answers(port),
            "http": lambda: _answers_ok(port, program.health_path),
        }
        return probes[program.health]()

    def wait(self, programs: Sequence[Program], seconds: float) -> None:
        """Wait until all are healthy. Raises OperationError that names those that are not, with the ends of their logs."""
        begun = told = monotonic()
        pending = list(programs)
        while True:
            conditions = self.examine(pending)
            sick = [condition for condition in conditions if not condition.healthy]
            if not sick:
                return
            pending = [condition.program for condition in sick]
            if monotonic() - begun > seconds:
                raise OperationError(_not_ready(sick, seconds), details=self._log_ends(pending))
            if monotonic() - told > TOLD_EVERY_SECONDS:
                told = monotonic()
                err.print(f"[dim]  {told - begun:.0f} s: waiting for {_some(pending)}[/]")
            sleep(POLL_SECONDS)

    def _log_ends(self, programs: Sequence[Program]) -> str:
        parts = []
        for program in programs[:4]:
            path = self.layout.logs / f"{program.name}.log"
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ["(no log)"]
            parts += [f"--- {path}", *lines[-LOG_TAIL_LINES:]]
        return "\n".join(parts)


def _some(programs: Sequence[Program]) -> str:
    names = ", ".join(program.name for program in programs[:NAMED_MAX])
    return names if len(programs) <= NAMED_MAX else f"{names} and {len(programs) - NAMED_MAX} more"


def _not_ready(sick: Sequence[Condition], seconds: float) -> str:
    names = ", ".join(f"{condition.program.name} ({condition.word})" for condition in sick)
    return f"Not ready after {seconds:.0f} s: {names}. Their logs say why (`make logs SERVICE=…`); `make up` again tries anew."


def _answers_ok(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
