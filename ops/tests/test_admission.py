"""Whom an operator may let in under which name, and what may be given to them."""

import pytest

from libs.common.events.asyncapi import INTERNAL, OPEN, PERSONAL
from ops.bus.admission import NAME_LENGTH_MAX, NAME_LENGTH_MIN, PREFIX, checked_name, choose, published
from ops.errors import OperationError
from ops.settings import ROOT

KNOWN = {
    "tasks.task.opened": OPEN,
    "tasks.task.validated": OPEN,
    "tasks.audit.recorded": INTERNAL,
    "auth.user.registered": PERSONAL,
    "auth.email.requested": INTERNAL,
}


@pytest.mark.parametrize("good", ["a" * NAME_LENGTH_MIN, "a" * NAME_LENGTH_MAX, "acme-books-2", "x9"])
def test_a_good_name_is_taken(good: str) -> None:
    assert checked_name(good, ["tasks"]) == good


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "",
            "a" * (NAME_LENGTH_MIN - 1),
            "a" * (NAME_LENGTH_MAX + 1),
            "Acme",
            "acme_books",
            "acme.books",
            "9lives",
            "-a",
            "a-",
        ),
        *("a--b", "a b", "a\nb", "acme\n", "ácme", ".*", "a/b", "a#"),
    ],
)
def test_a_bad_name_is_refused_with_an_example(bad: str) -> None:
    with pytest.raises(OperationError, match="acme-books"):
        checked_name(bad, ["tasks"])


@pytest.mark.parametrize("taken_name", ["tasks", "gateway", "operator"])
def test_a_name_of_the_platform_is_refused(taken_name: str) -> None:
    with pytest.raises(OperationError, match="of the platform itself"):
        checked_name(taken_name, ["tasks"])


def test_a_pattern_means_the_types_that_there_are_and_leaves_out_what_may_not_be_given() -> None:
    chosen = choose(["tasks.#", "auth.user.*"], KNOWN, personal=False)

    assert chosen.types == ["tasks.task.opened", "tasks.task.validated"]
    assert chosen.skipped == ["auth.user.registered", "tasks.audit.recorded"]
    assert choose(["#"], KNOWN, personal=True).types == ["auth.user.registered", "tasks.task.opened", "tasks.task.validated"]


@pytest.mark.parametrize(
    ("pattern", "personal", "sentence"),
    [
        ("tasks.task.validatd", False, r"Did you mean tasks\.task\.validated"),
        ("nothing.like.this", False, r"No event is called nothing\.like\.this"),
        ("tasks.task.", False, "write for example"),
        ("auth.user.registered", False, "add --personal"),
        ("auth.user.*", False, "add --personal"),
        ("auth.email.requested", True, "is internal"),
        ("tasks.audit.recorded", True, "is internal"),
        ("*.audit.*", True, "is internal"),
    ],
)
def test_what_is_unknown_or_not_to_be_given_is_refused(pattern: str, personal: bool, sentence: str) -> None:
    with pytest.raises(OperationError, match=sentence):
        choose([pattern], KNOWN, personal=personal)


def test_the_known_types_are_those_of_the_committed_documents() -> None:
    found = published(ROOT)

    assert found["tasks.task.validated"] == OPEN
    assert found["auth.user.registered"] == PERSONAL
    assert {name for name, audience in found.items() if audience == INTERNAL} >= {
        "auth.email.requested",
        "auth.session.revoked",
    }


def test_no_service_bears_the_name_that_would_own_every_subscribers_queue() -> None:
    assert not (ROOT / "services" / PREFIX.rstrip(".")).exists()
