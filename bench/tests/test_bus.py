"""What the measurements of the bus do, on a few events: the figures themselves are nobody's test."""

from collections.abc import Iterator

import pytest

from bench.bus import peers
from bench.bus.growth import _fill
from bench.bus.latency import _run
from bench.bus.notes import outgoing
from bench.bus.peers import LOCK, PEERS, SCRIPTS, Peer
from bench.bus.stage import Stage, children, stage
from bench.bus.throughput import consuming, relaying
from bench.figures import Figure, NothingMeasured
from libs.common.events.tests.cinema import stored
from ops.checks.locks import pins
from ops.settings import ROOT

OURS = Figure("ours", 1_000.0, "events/s")


@pytest.fixture(scope="module")
def set_up() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.parametrize("handler", ["keep", "keep_all"])
@pytest.mark.parametrize("processes", [1, 2])
def test_every_event_takes_effect_once_in_as_many_processes_as_are_asked_for(
    set_up: Stage, handler: str, processes: int
) -> None:
    events = [outgoing() for _ in range(450)]
    with children(set_up, *["consumer"] * processes) as consumers:
        for _ in range(2):
            assert consuming(set_up, consumers, handler, events) > 0
            assert set_up.applied() == len(events)


def test_the_relay_is_measured_until_everything_has_left(set_up: Stage) -> None:
    with children(set_up, "relay") as (relay,):
        before = stored(set_up.studio, "event_archive")
        assert relaying(set_up, relay, 700) > 0

    assert set_up.outbox_is_empty()
    assert stored(set_up.studio, "event_archive") == before + 701


def test_each_event_is_timed_from_its_commit_to_its_effect(set_up: Stage) -> None:
    sent, done = _run(set_up, pace_seconds=0.01, seconds=0.3, producers=2)

    assert len(sent) > 1
    assert sent.keys() <= done.keys()
    assert all(done[each] > sent[each] for each in sent)


def test_a_process_that_ends_is_told_of(set_up: Stage) -> None:
    with children(set_up, "consumer") as (consumer,), pytest.raises(NothingMeasured, match="The consumer ended"):
        consumer.ask("start", "nothing_of_that_name")


def test_archive_and_inbox_are_filled_to_what_the_title_says(set_up: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.bus.growth.EVENTS", 1_000)
    monkeypatch.setattr("bench.bus.growth.AT_ONCE", 250)
    before = stored(set_up.studio, "event_archive"), stored(set_up.cinema, "inbox")
    with set_up.administration() as connection:
        _fill(connection, set_up)

    assert (stored(set_up.studio, "event_archive"), stored(set_up.cinema, "inbox")) == (before[0] + 1_000, before[1] + 1_000)


def test_a_library_that_does_not_run_is_in_the_table_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def rates(peer: Peer, _url: str, _count: int) -> tuple[float, float]:
        if peer.name == "nameko":
            raise NothingMeasured("ImportError: it is too old")
        return 500.0, 2_000.0

    monkeypatch.setattr(peers, "_rates", rates)
    figures = peers.measure("amqp://nowhere/", 1, OURS)

    assert [each.ratio for each in figures[:2]] == [0.5, 2.0]
    assert figures[-1].name == f"nameko {pins(LOCK)['nameko']} did not run: ImportError: it is too old"
    assert figures[-1].ratio is None


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_library_to_compare_with_is_pinned_has_a_script_and_is_no_part_of_the_product(peer: Peer) -> None:
    assert peer.name in pins(LOCK)
    assert (SCRIPTS / f"{peer.module}.py").exists()
    for product in ("runtime", "dev"):
        assert peer.name not in pins(ROOT / "requirements" / f"{product}.lock")
