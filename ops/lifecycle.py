"""Bring a platform up, scale it, take it down. Every step may be repeated."""

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ops import supervisor as supervisors
from ops.console import err, step
from ops.door import await_gateway
from ops.errors import OperationError
from ops.health import Condition, Doctor
from ops.layout import Layout, Replica
from ops.leftovers import end_leftovers
from ops.plan import CONTROL_PROCESS, GATEWAY_PROCESS, Plan, Scale
from ops.ports import PortUse, require_free
from ops.postgres import answers
from ops.preparation import Preparation
from ops.programs import Program
from ops.supervisor import Supervisor

READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Started:
    """What `up` did."""

    origin: str
    seconds: float
    processes: int
    changed: bool


class Platform:
    """One platform on this machine."""

    def __init__(self, layout: Layout, *, durable: bool = True, servers_only: bool = False) -> None:
        self.layout = layout
        self.durable = durable
        self.servers_only = servers_only
        self.supervisor = Supervisor(layout)

    # ---- up

    def up(self, scale: Scale | None = None) -> Started:
        """Start whatever does not run, restart what runs old code, and wait until all is well. Raises OperationError."""
        begun = monotonic()
        self.layout.prepare()
        with self._alone():
            plan = self._plan(self._kept_scale() if scale is None else scale)
            changed = not self._as_planned(plan)
            if changed:
                self._start(plan)
        programs = self._programs(plan)
        return Started(self.layout.origin, monotonic() - begun, len(programs), changed)

    def _plan(self, scale: Scale) -> Plan:
        return Plan(self.layout, scale, durable=self.durable)

    def _programs(self, plan: Plan) -> list[Program]:
        return plan.servers() if self.servers_only else plan.everything()

    def _doctor(self, plan: Plan) -> Doctor:
        return Doctor(self.layout, self.supervisor, plan.backing.maintenance_url())

    def _as_planned(self, plan: Plan) -> bool:
        """Whether exactly the planned processes run, with the planned configuration, and all are healthy."""
        path = supervisors.configuration_path(self.layout)
        if self.supervisor.pid() is None or not path.exists():
            return False
        if path.read_text(encoding="utf-8") != supervisors.configuration(self.layout, self._programs(plan)):
            return False
        return all(condition.healthy for condition in self._doctor(plan).examine(self._programs(plan)))

    def _start(self, plan: Plan) -> None:
        if self.supervisor.pid() is None and (left := end_leftovers(self.layout.state)):
            err.print(f"[dim]Ended {left} processes that an earlier run had left behind.[/]")
        self._require_ports(plan)
        doctor = self._doctor(plan)
        self._start_servers(plan)
        if self.servers_only:
            with step("Postgres and RabbitMQ answer"):
                doctor.wait(plan.servers(), READY_SECONDS)
            return
        self._await_database(plan, doctor)
        preparation = Preparation(plan)
        due = preparation.due
        if due:
            with step(f"Schemas of {len(preparation.services)} services are up to date"):
                preparation.database()
        with step("RabbitMQ answers"):
            if plan.backing.private_broker:
                doctor.wait(plan.broker.programs(), READY_SECONDS)
            if due:
                preparation.broker()
                preparation.done()
        with step(f"{len(plan.replicas)} service processes and the gateway are ready"):
            plan.write_targets()
            plan.environments.write_log_key()
            self._apply(plan.everything())
            self._keep_scale(plan.scale)
            doctor.wait(plan.everything(), READY_SECONDS)

    def _require_ports(self, plan: Plan) -> None:
        """Raise PortTaken unless every port is free or held by a process of this platform, which will make room."""
        running = (
            [] if self.supervisor.pid() is None else [name for name, state in self.supervisor.processes().items() if state.pid]
        )
        held = {port for name in running for port in self.ports().get(name, ())}
        programs = self._programs(plan)
        require_free(
            PortUse(port, program.name, program.port_variable)
            for program in programs
            for port in program.ports
            if port not in held
        )

    def _require_running(self) -> None:
        """Raise OperationError unless this platform runs, on the ports that the settings name.

        To plan is to write addresses into the secrets of processes: with other ports, those that run would lose their servers.
        """
        if self.supervisor.pid() is None:
            raise OperationError("The platform does not run. Start it with `make up`.")
        door = Replica("auth", "web", 1)
        wanted = {"gateway": self.layout.settings.lumiere_port, door.name: self.layout.replica_port(door)}
        kept = self.ports()
        if any(port not in kept.get(name, [port]) for name, port in wanted.items()):
            raise OperationError(
                "The platform was started with other ports than LUMIERE_PORT and LUMIERE_PORT_BASE say now. "
                "Set both as they were then, or move it with `make up`."
            )

    def ports(self) -> dict[str, list[int]]:
        """The ports that each process was started with."""
        return json.loads(self._ports_file.read_text(encoding="utf-8")) if self._ports_file.exists() else {}

    def _apply(self, programs: Sequence[Program]) -> None:
        """Make these programs the ones that run."""
        text = supervisors.configuration(self.layout, programs)
        if self.supervisor.pid() is None:
            (self.layout.logs / "supervisor.log").unlink(missing_ok=True)
            supervisors.write_configuration(self.layout, text)
            self.supervisor.launch()
        else:
            self.supervisor.apply(text)
        ports = {program.name: list(program.ports) for program in programs}
        self._ports_file.write_text(json.dumps(ports), encoding="utf-8")

    def _start_servers(self, plan: Plan) -> None:
        if plan.backing.private_database and plan.postgres.create():
            where = " (outside the clone, which the postgres user cannot reach)" if plan.postgres.moved else ""
            err.print(f"Postgres keeps its data in {plan.postgres.data}{where}")
        if plan.backing.private_broker:
            plan.broker.configure(plan.backing.definitions())
        if self.supervisor.pid() is None or not supervisors.contains(self.layout, plan.servers()):
            # Services would only lose their servers under their feet: they come back after the migration.
            self._apply(plan.servers())
        else:
            self.supervisor.revive()

    def _await_database(self, plan: Plan, doctor: Doctor) -> None:
        with step("Postgres answers"):
            if plan.backing.private_database:
                doctor.wait([plan.postgres.program()], READY_SECONDS)
            elif not answers(plan.backing.maintenance_url()):
                raise OperationError(
                    "The Postgres in DATABASE_URL does not answer. Check the address and password, or unset DATABASE_URL."
                )

    # ---- scale

    def scale(self, wanted: Scale) -> Started:
        """Change the number of replicas. The gateway lets go of those that leave before they are drained and stopped."""
        self._require_running()
        begun = monotonic()
        with self._alone():
            before = self._plan(self._kept_scale())
            after = self._plan(before.scale | wanted)
            doctor = self._doctor(after)
            leaving = set(before.replicas) - set(after.replicas)
            coming = set(after.replicas) - set(before.replicas)
            self._require_ports(after)
            staying = [replica for replica in before.replicas if replica not in leaving]
            if after.write_targets(staying):
                with step("The gateway has let go of the replicas that leave"):
                    await_gateway(self.layout, after.addresses(staying), after.addresses(leaving))
            with step(f"{len(coming)} replicas more, {len(leaving)} fewer"):
                self._apply(after.everything())
                doctor.wait(after.everything(), READY_SECONDS)
            if after.write_targets():
                with step("The gateway sends requests to all replicas"):
                    await_gateway(self.layout, after.addresses(after.replicas), ())
            self._keep_scale(after.scale)
        return Started(self.layout.origin, monotonic() - begun, len(after.everything()), bool(leaving or coming))

    def restart(self, kinds: Sequence[str]) -> list[str]:
        """Start every process of these kinds (`tasks-web`, `gateway`) anew, one after the other, each well before the next
        stops: where there are several replicas, somebody always answers. Returns their names. Raises OperationError.
        """
        self._require_running()
        with self._alone():
            plan = self._plan(self._kept_scale())
            doctor = self._doctor(plan)
            wanted = [each for each in self._programs(plan) if each.name in kinds or each.name.rpartition("-")[0] in kinds]
            for program in wanted:
                self.supervisor.stop([program.name])
                self.supervisor.revive()
                doctor.wait([program], READY_SECONDS)
        return [program.name for program in wanted]

    # ---- down

    def down(self) -> int:
        """Stop everything, stage by stage, until no process is left. Returns how many processes ran."""
        if not self.layout.state.exists():
            return 0
        count = 0
        with self._alone():
            if self.supervisor.pid() is not None:
                names = list(self.supervisor.processes())
                count = len(names)
                for stage in _stages(names):
                    self.supervisor.stop(stage)
                self.supervisor.shut_down()
            count = count or end_leftovers(self.layout.state)
            self._scale_file.unlink(missing_ok=True)
        return count

    def clean(self) -> None:
        """Stop everything and delete all state: data, secrets, logs, mail."""
        plan = self._plan({})
        self.down()
        with suppress(OperationError):
            plan.postgres.remove()
        for folder in (self.layout.sockets, self.layout.state):
            shutil.rmtree(folder, ignore_errors=True)

    # ---- what is

    def conditions(self) -> list[Condition]:
        """The condition of every planned process; empty when the platform does not run."""
        if self.supervisor.pid() is None:
            return []
        plan = self._plan(self._kept_scale())
        guardian = supervisors.guardian(self.layout)
        return self._doctor(plan).examine([*self._programs(plan), guardian])

    def running_plan(self) -> Plan:
        """What runs, as planned with the kept scale. Raises OperationError when the platform does not run."""
        self._require_running()
        return self._plan(self._kept_scale())

    def restarts(self) -> dict[str, int]:
        """How often each process ended by itself since `up`."""
        counts: dict[str, int] = {}
        log = self.layout.logs / "supervisor.log"
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []:
            _, found, rest = line.partition(" exited: ")
            if found:
                name = rest.split(" ", 1)[0]
                counts[name] = counts.get(name, 0) + 1
        return counts

    def supervisor_restarts(self) -> int:
        """How often a new supervisor took the place of a killed one since `up`."""
        log = self.layout.logs / "supervisor.log"
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return max(0, text.count(" supervisord started with pid ") - 1)

    # ---- people

    def create_admin(self, email: str, password: str) -> str:
        """Make an administrator in auth; returns what auth says. Raises OperationError."""
        self._require_running()
        return run_module(self._plan({}), "auth", "admin-create", email, given=password + "\n").strip()

    def ask(self, service: str, *arguments: str) -> str:
        """Run one of a service's own commands beside the running platform; returns what it prints. Raises OperationError."""
        self._require_running()
        return run_module(self._plan({}), service, *arguments)

    # ---- state of its own

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One command at a time changes a platform."""
        self.layout.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.layout.run / "lock").open("w", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                err.print("Another lumiere command is at work on this platform; waiting for it …")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _ports_file(self) -> Path:
        return self.layout.run / "ports.json"

    @property
    def _scale_file(self) -> Path:
        return self.layout.run / "scale.json"

    def _kept_scale(self) -> Scale:
        if not self._scale_file.exists():
            return {}
        kept = json.loads(self._scale_file.read_text(encoding="utf-8"))
        return {(service, kind): number for service, kinds in kept.items() for kind, number in kinds.items()}

    def _keep_scale(self, scale: Scale) -> None:
        kept: dict[str, dict[str, int]] = {}
        for (service, kind), number in scale.items():
            kept.setdefault(service, {})[kind] = number
        self._scale_file.write_text(json.dumps(kept), encoding="utf-8")


def run_module(plan: Plan, service: str, *arguments: str, given: str | None = None) -> str:
    """Run one command of a service in its migration environment; returns what it printed. Raises OperationError."""
    command = [sys.executable, "-m", f"services.{service}", *arguments]
    environment = plan.environments.migration(service)
    done = subprocess.run(
        command, cwd=plan.layout.root, env=environment, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OperationError(
            f"services.{service} {arguments[0]} failed (exit code {done.returncode}).",
            details=(done.stderr or done.stdout).strip(),
        )
    return done.stdout


def _stages(names: Sequence[str]) -> list[list[str]]:
    """The order of the stop: nobody new restarts things, the door closes, services finish, then the servers go."""
    first, door = [supervisors.GUARDIAN_NAME], [GATEWAY_PROCESS, CONTROL_PROCESS]
    last, mapper = ["postgres", "rabbitmq"], ["epmd"]
    fixed = {*first, *door, *last, *mapper}
    return [first, door, [name for name in names if name not in fixed], last, mapper]
