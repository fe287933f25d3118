"""Measures are taken when they are due; one that fails is tried again, and shows."""

from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from libs.common import clock
from libs.common.db import Reader
from libs.common.measures import SECONDS_MIN, Measuring, collect_measures, measure
from libs.common.service.web import IN_PROGRESS, counted
from libs.common.telemetry.memory import MemoryLimit
from libs.common.tests.conftest import Sample

taken: list[str] = []
broken: list[Exception] = []


@measure()
def rows(_db: Reader) -> None:
    """Always works."""
    taken.append("rows")


@measure(seconds=60)
def seldom(_db: Reader) -> None:
    """Fails as long as it is told to."""
    taken.append("seldom")
    if broken:
        raise broken[0]


def declared() -> Measuring:
    """The two above, on nothing that they look at."""
    module = ModuleType(__name__)
    vars(module).update(rows=rows, seldom=seldom)
    return Measuring(_database[0], collect_measures([module]))  # type: ignore[arg-type]


_database: list[object] = []


@pytest.fixture(autouse=True)
def clean(sample: Sample) -> None:
    taken.clear()
    broken.clear()
    _database[:] = [sample.database]


def measured_at() -> float:
    """When all of them last worked."""
    return REGISTRY.get_sample_value("lumiere_measured_timestamp_seconds", {"service": "sample"}) or 0.0


@pytest.mark.parametrize(("seconds", "refused"), [(SECONDS_MIN - 0.1, True), (SECONDS_MIN, False), (SECONDS_MIN + 0.1, False)])
def test_a_measure_is_taken_every_five_seconds_at_most(seconds: float, refused: bool) -> None:
    if refused:
        with pytest.raises(ValueError, match="at most"):
            measure(seconds=seconds)
    else:
        assert measure(seconds=seconds)(rows) is rows
        measure()(rows)


def test_what_is_not_due_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    measuring = declared()

    measuring.take_due()
    now = 1_014.0
    measuring.take_due()
    assert taken == ["rows", "seldom"]
    now = 1_015.0
    measuring.take_due()
    assert taken == ["rows", "seldom", "rows"]
    now = 1_060.0
    measuring.take_due()
    assert taken == ["rows", "seldom", "rows", "rows", "seldom"]


def test_a_measure_that_fails_holds_the_moment_back_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    monkeypatch.setattr(clock, "epoch", lambda: now)
    measuring = declared()
    broken.append(OperationalError("SELECT", {}, Exception("away")))
    now = 2_000.0
    measuring.take_due()
    assert measured_at() == 1_000
    broken.clear()
    now = 2_060.0
    measuring.take_due()
    assert measured_at() == 2_060


def test_a_request_is_in_hand_until_the_last_byte_of_its_answer_is_taken() -> None:
    def in_hand() -> float:
        return IN_PROGRESS._value.get()  # type: ignore[no-any-return]

    before = in_hand()
    answer = counted(lambda _environ, _start: iter([b"a", b"b"]))({}, None)

    assert in_hand() == before + 1
    assert list(answer) == [b"a", b"b"]
    answer.close()  # type: ignore[attr-defined]
    assert in_hand() == before


def test_a_request_that_fails_is_no_longer_in_hand() -> None:
    before = IN_PROGRESS._value.get()

    def fail(_environ: object, _start: object) -> list[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        counted(fail)({}, None)
    assert IN_PROGRESS._value.get() == before


@pytest.mark.parametrize(("written", "limit"), [("402653184\n", 402653184.0), ("max\n", None), (None, None)])
def test_the_memory_that_a_container_may_have_is_told_when_there_is_a_limit(
    written: str | None, limit: float | None, tmp_path: Path
) -> None:
    file = tmp_path / "memory.max"
    if written is not None:
        file.write_text(written, encoding="ascii")
    (family,) = MemoryLimit(file).collect()

    assert [sample.value for sample in family.samples] == ([] if limit is None else [limit])
