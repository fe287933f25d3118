"""Past one machine, as far as one machine tells: what dies while people work, what is lost, and how long they wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure, against, limit
from bench.targets import Target
from ops.testing import live_platform
from tests.cluster import broker_rehearsal, database_rehearsal, gateway_rehearsal
from tests.faults.counting import Count

PLATFORM: Final = Path(".local") / "bench" / "cluster-platform"
BROKER, DATABASE, GATEWAYS = "three brokers", "primary and standby", "two gateways"
REVOKED: Final = f"{GATEWAYS}: a session's end → refused at"
FAULTS: Final = ("events lost", "doubled effects", "out of order", "made up")
TARGETS: Final = (
    *(Target(f"{what}: {fault}", "≤", 0) for what in (BROKER, DATABASE) for fault in FAULTS),
    Target(f"{BROKER}: commands without an answer", "≤", 0),
    Target(f"{DATABASE}: acknowledged while the only standby was dead", "≤", 0),
    Target(REVOKED, "≤", 1_000),
)


def brokers(_seconds: float) -> list[Figure]:
    """Leaders of a queue die, and two of three nodes."""
    with _folder() as folder:
        return _brokers(folder)


def databases(_seconds: float) -> list[Figure]:
    """A primary dies, there and back, and an only standby."""
    with _folder() as folder:
        return _databases(folder)


def gateways(_seconds: float) -> list[Figure]:
    """Sessions that end, and limits, at two gateways."""
    with _folder() as folder, live_platform(PLATFORM) as platform:
        return _gateways(gateway_rehearsal.rehearse(platform, folder))


def missed(figures: list[Figure]) -> list[str]:
    """The promises that these figures do not keep."""
    found = [(each, target) for each in figures for target in TARGETS if each.name.startswith(target.figure)]
    return [f"{each.name}: {each.value:g} {each.unit}, promised {target}" for each, target in found if not target.met(each)]


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # Postgres runs as another user
        yield Path(folder)


def _brokers(folder: Path) -> list[Figure]:
    done = broker_rehearsal.rehearse(folder)
    pauses = [
        figure
        for number, (without, commands, back) in enumerate(
            zip(done.leader_pauses, done.command_pauses, done.rejoined, strict=True), 1
        )
        for figure in (
            Figure(f"{BROKER}: leader {number} killed, longest time without an effect", without * 1_000, "ms"),
            Figure(f"{BROKER}: the same, without a command answered", commands * 1_000, "ms"),
            Figure(f"{BROKER}: leader {number} started again → its replica up to date", back, "s"),
        )
    ]
    return [
        Figure(f"{BROKER}: commands acknowledged", done.acknowledged, "commands"),
        Figure(f"{BROKER}: commands without an answer", done.failed_commands, "commands"),
        *_counted(BROKER, done.count),
        *pauses,
        Figure(f"{BROKER}: two of three dead, events that waited in the outbox", done.waiting_without_majority, "events"),
        Figure(f"{BROKER}: these two started again → events flow", done.recovered_seconds, "s"),
    ]


def _databases(folder: Path) -> list[Figure]:
    done = database_rehearsal.rehearse(folder)
    alone = limit(f"{DATABASE}: a commit of one row, without a standby", done.alone_ms, "ms")
    switches = [
        figure
        for number, (promoted, commands, effects, back) in enumerate(
            zip(done.promoted, done.command_pauses, done.effect_pauses, done.rewound, strict=True), 1
        )
        for figure in (
            Figure(f"{DATABASE}: primary {number} killed, order to promote → commits are taken", promoted * 1_000, "ms"),
            Figure(f"{DATABASE}: the same, longest time without a command acknowledged", commands * 1_000, "ms"),
            Figure(f"{DATABASE}: the same, longest time without an effect", effects * 1_000, "ms"),
            Figure(f"{DATABASE}: old primary {number} rewound → a standby that commits wait for", back, "s"),
        )
    ]
    return [
        Figure(f"{DATABASE}: commands acknowledged", done.acknowledged, "commands"),
        Figure(f"{DATABASE}: commands whose commit nobody answered", done.in_doubt, "commands"),
        *_counted(DATABASE, done.count),
        *switches,
        Figure(f"{DATABASE}: acknowledged while the only standby was dead", done.acknowledged_without_standby, "commands"),
        alone,
        against(alone, f"{DATABASE}: the same when it waits for the standby's disk", done.with_standby_ms),
    ]


def _counted(what: str, count: Count) -> list[Figure]:
    verdict = dict(zip(FAULTS, count.verdict, strict=True))
    events = [Figure(f"{what}: events published", count.published, "events")]
    return events + [Figure(f"{what}: {name}", number, "events") for name, number in verdict.items()]


def _gateways(done: gateway_rehearsal.Rehearsed) -> list[Figure]:
    names = ("the gateway that ended it", "the other one")
    one = limit(f"{GATEWAYS}: reads a minute that one permits a person", done.limit, "requests")
    return [
        *(
            Figure(f"{REVOKED} {name}, slowest of five", seconds * 1_000, "ms")
            for name, seconds in zip(names, done.refused_after, strict=True)
        ),
        one,
        against(one, f"{GATEWAYS}: permitted by both together, asked in turns", done.in_turns),
        against(one, f"{GATEWAYS}: permitted by both together, asked at once as fast as they answer", done.at_once),
    ]
