"""Patterns of event types match what a topic exchange would deliver."""

import pytest

from libs.common.events.patterns import PATTERN_LENGTH_MAX, PatternError, check_pattern, matches, matching


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("tasks.task.validated", "tasks.task.validated", True),
        ("tasks.task.validated", "tasks.task.opened", False),
        ("tasks.task.*", "tasks.task.opened", True),
        ("tasks.*", "tasks.task.opened", False),
        ("tasks.#", "tasks.task.opened", True),
        ("#", "tasks.task.opened", True),
        ("#.opened", "tasks.task.opened", True),
        ("tasks.#.opened", "tasks.task.opened", True),
        ("*.*.opened", "tasks.task.opened", True),
        ("task.#", "tasks.task.opened", False),
    ],
)
def test_a_pattern_reads_words_as_the_broker_does(pattern: str, event_type: str, *, expected: bool) -> None:
    assert matches(pattern, event_type) is expected


def test_each_type_is_named_once_in_order() -> None:
    assert matching(["a.#", "*.x.y"], ["b.x.y", "a.x.y", "c.x.z"]) == ["a.x.y", "b.x.y"]


@pytest.mark.parametrize("pattern", ["", "tasks.", "Tasks.task", "tasks..task", "tasks.ta*", "tasks task", "'; --"])
def test_what_is_no_pattern_is_refused_with_examples(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"write for example tasks\.task\.validated"):
        check_pattern(pattern)


@pytest.mark.parametrize("length", [PATTERN_LENGTH_MAX - 1, PATTERN_LENGTH_MAX])
def test_a_pattern_may_be_as_long_as_a_routing_key(length: int) -> None:
    assert check_pattern("a" * length)


def test_a_pattern_that_no_routing_key_can_be_is_refused() -> None:
    with pytest.raises(PatternError):
        check_pattern("a" * (PATTERN_LENGTH_MAX + 1))
