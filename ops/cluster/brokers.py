"""A RabbitMQ cluster: which nodes run, and which queues would not survive the next loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ops.management import Management

NODES_WANTED: Final = 3
"""Replicas of a queue where there are so many nodes: two of them decide, so one may be lost."""


@dataclass(frozen=True)
class Node:
    """One broker."""

    name: str
    running: bool
    alarms: tuple[str, ...]
    cut_off_from: tuple[str, ...]


@dataclass(frozen=True)
class Queue:
    """A quorum queue, and where its replicas are."""

    name: str
    leader: str
    members: int
    online: int

    @property
    def majority(self) -> bool:
        """Whether enough replicas are there to take and give messages."""
        return self.online > self.members // 2


@dataclass(frozen=True)
class Brokers:
    """All of it at one moment."""

    nodes: list[Node]
    queues: list[Queue]


def examine(management: Management) -> Brokers:
    """What the cluster says of itself. Raises OperationError when nobody answers."""
    nodes = [_node(each) for each in management.nodes()]
    found = [each for each in management.queues() if each.get("type") == "quorum"]
    return Brokers(sorted(nodes, key=lambda each: each.name), [_queue(each) for each in found])


def _node(said: Mapping[str, Any]) -> Node:
    alarms = tuple(word for word in ("mem", "disk_free") if said.get(f"{word}_alarm"))
    return Node(said["name"], bool(said.get("running")), alarms, tuple(said.get("partitions", ())))


def _queue(said: Mapping[str, Any]) -> Queue:
    return Queue(said["name"], said.get("leader", ""), len(said.get("members", ())), len(said.get("online", ())))


def attention(found: Brokers) -> list[str]:
    """What an operator must look at, in sentences."""
    sentences = [f"the broker {each.name} does not run" for each in found.nodes if not each.running]
    sentences += [f"{each.name} is short of {', '.join(each.alarms)}: publishers wait" for each in found.nodes if each.alarms]
    sentences += [f"{each.name} is cut off from {', '.join(each.cut_off_from)}" for each in found.nodes if each.cut_off_from]
    if len(found.nodes) == 2:
        sentences.append("two brokers cannot decide when one is lost: have one, or three")
    wanted = min(NODES_WANTED, len(found.nodes))
    return sentences + _of_queues(found.queues, wanted)


def _of_queues(queues: Sequence[Queue], wanted: int) -> list[str]:
    halted = [each.name for each in queues if not each.majority]
    few = [each.name for each in queues if each.members < wanted]
    sentences = [f"{name} has no majority of its replicas: it stands still" for name in halted]
    if few:
        more = f" and {len(few) - 1} more" if len(few) > 1 else ""
        sentences.append(f"{few[0]}{more}: fewer than {wanted} replicas; `rabbitmq-queues grow NODE all` on each node")
    return sentences
