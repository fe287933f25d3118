"""Three RabbitMQ nodes on loopback, joined as `deploy/cluster/rabbitmq.conf` joins them on three machines."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from libs.common.events.tests.live import eventually
from libs.common.events.topology import OPERATOR, definitions
from ops.management import Management
from ops.ports import free_range
from ops.rabbitmq import NODE_ARGUMENTS, broker_answers, mapper_answers, server_script
from ops.settings import ROOT
from tests.cluster.running import Server, run

NODES: Final = 3
UP_SECONDS: Final = 240.0
"""Nodes that come back wait for each other in steps of 30 s; on a busy machine that is several."""
PORTS_FROM: Final = 23_000
PORTS_A_NODE: Final = 3
SHIPPED: Final = ROOT / "deploy" / "cluster" / "rabbitmq.conf"
SINCE_RABBITMQ_4: Final = ("quorum_queue.",)
"""Shipped settings of these names are unknown to Debian's RabbitMQ 3.10, whose nodes would not start with them."""


class BrokerCluster:
    """Nodes `one`, `two`, `three` with a port mapper, a cookie and users of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tag = secrets.token_hex(4)
        self.password = secrets.token_urlsafe(24)
        self.base = free_range(PORTS_FROM, 1 + NODES * PORTS_A_NODE, step=50)
        self.mapper = Server(
            "epmd",
            ("epmd", "-port", str(self.base), "-address", "127.0.0.1"),
            self._common,
            self._folder() / "epmd.log",
        )
        self.nodes = [self._node(number) for number in range(NODES)]

    # ---- addresses

    @property
    def url(self) -> str:
        """Every node, as the operator."""
        return ";".join(f"amqp://{OPERATOR}:{self.password}@127.0.0.1:{self.port(number)}/" for number in range(NODES))

    def management(self, number: int) -> Management:
        """The management API of one node."""
        return Management(f"http://{OPERATOR}:{self.password}@127.0.0.1:{self.port(number) + 1}")

    def port(self, number: int) -> int:
        """Where a node listens; its management API is one further, its distribution two."""
        return self.base + 1 + number * PORTS_A_NODE

    def node_name(self, number: int) -> str:
        """As the nodes know each other."""
        return f"{('one', 'two', 'three')[number]}-{self.tag}@localhost"

    # ---- life

    def start(self) -> None:
        """Form the cluster, then import users and exchanges: queues of before would have one replica for ever."""
        self.mapper.start()
        eventually(lambda: mapper_answers(self.base), "the port mapper answers", UP_SECONDS)
        for node in self.nodes:
            node.start()
        self.await_whole()
        path = self.folder / "definitions.json"
        path.write_text(json.dumps(definitions([], {"gateway": self.password, OPERATOR: self.password})), encoding="utf-8")
        self.tool(0, "rabbitmqctl", "import_definitions", str(path))

    def await_whole(self) -> None:
        """Until every node runs and knows the others."""
        eventually(lambda: all(broker_answers(self.port(each)) for each in range(NODES)), "every node answers", UP_SECONDS)
        eventually(lambda: len(self._running()) == NODES, "every node is a member", UP_SECONDS)

    def end(self) -> None:
        """Nothing of it stays."""
        for server in (*self.nodes, self.mapper):
            if server.alive:
                server.kill()

    # ---- what it says

    def queue(self, name: str, *, asked: int = 0) -> dict[str, Any]:
        """A queue as one node describes it: `leader`, `members`, `online`."""
        with self.management(asked) as management:
            return next((each for each in management.queues() if each["name"] == name), {})

    def leader_of(self, name: str, *, asked: int = 0) -> int:
        """The number of the node that leads a queue."""
        leader = self.queue(name, asked=asked)["leader"]
        return next(number for number in range(NODES) if self.node_name(number) == leader)

    def tool(self, number: int, program: str, *arguments: str) -> str:
        """Run one of RabbitMQ's own tools on a node."""
        return run((str(server_script().with_name(program)), "-n", self.node_name(number), *arguments), self._common)

    def _running(self) -> list[str]:
        return list(json.loads(self.tool(0, "rabbitmqctl", "--formatter", "json", "cluster_status"))["running_nodes"])

    # ---- files

    def _folder(self, number: int | None = None) -> Path:
        folder = self.folder if number is None else self.folder / f"node-{number}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def _common(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.base),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _node(self, number: int) -> Server:
        home = self._folder(number)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o400)
            cookie.chmod(0o600)
            cookie.write_text(secrets.token_hex(20), encoding="ascii")
            cookie.chmod(0o400)
        (home / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="ascii")
        (home / "rabbitmq.conf").write_text(self._configuration(number), encoding="utf-8")
        environment = self._common | {
            "RUNNING_UNDER_SYSTEMD": "1",
            "RABBITMQ_LOG": "-color",
            "RABBITMQ_NODENAME": self.node_name(number),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_DIST_PORT": str(self.port(number) + 2),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": NODE_ARGUMENTS,
        }
        return Server(self.node_name(number), (str(server_script()),), environment, self.folder / f"node-{number}.log")

    def _configuration(self, number: int) -> str:
        return "\n".join(
            [
                *shipped(),
                *(f"cluster_formation.classic_config.nodes.{each + 1} = {self.node_name(each)}" for each in range(NODES)),
                f"listeners.tcp.1 = 127.0.0.1:{self.port(number)}",
                "management.tcp.ip = 127.0.0.1",
                f"management.tcp.port = {self.port(number) + 1}",
                "log.file = false",
                "log.console = true",
                "log.console.level = warning",
                "log.connection.level = error",
                "vm_memory_high_watermark.absolute = 512MB",
                "disk_free_limit.absolute = 200MB",
                "raft.wal_max_size_bytes = 33554432",
                "",
            ]
        )


def shipped() -> list[str]:
    """What the platform says of a cluster, without the names of its machines and what this RabbitMQ does not know."""
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(("#", "cluster_formation.classic_config.", *SINCE_RABBITMQ_4))]


@contextmanager
def broker_cluster(folder: Path) -> Iterator[BrokerCluster]:
    """Three nodes for as long as a rehearsal takes."""
    cluster = BrokerCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
