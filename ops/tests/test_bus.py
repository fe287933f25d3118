"""Operators' commands on the bus where no platform is needed: what they refuse, what they show and never show."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from libs.common import clock, ids
from libs.common.events import Envelope
from libs.common.events.archive import BEGINNING
from libs.common.events.broker import Received
from libs.common.events.dead_letters import DeadLetter
from libs.common.events.envelope import schema_address
from libs.common.events.subscriptions import Subscription
from libs.common.service.replaying import Refused, moment
from ops.bus.dead import _print_whole, _table, summary, whole
from ops.bus.members import Bus, age, print_table, this_bus, without_seals
from ops.bus.queues import OLD_SECONDS, Row, _attention
from ops.bus.standing import Place, Standing, _print
from ops.bus.tail import Filter, decoded, line, plain, show
from ops.cli import main
from ops.console import print_json, print_json_line

SEALED = {"commitment": "c" * 43, "sealed": "SECRETSECRET"}
SUBSCRIPTION = Subscription("payments", "tasks.task", ordered=True, handlers={})


@pytest.fixture
def without_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a platform that does not run."""
    for name in ("DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LUMIERE_HOME", str(tmp_path))
    monkeypatch.setenv("LUMIERE_PORT_BASE", "23100")


def envelope(event_type: str = "tasks.task.opened", **changes: object) -> Envelope:
    fields: dict[str, object] = {
        "id": ids.new_id(),
        "source": f"/services/{event_type.split('.', maxsplit=1)[0]}",
        "type": event_type,
        "subject": "task-1",
        "time": clock.now(),
        "dataschema": schema_address(event_type, 1),
        "sequence": 3,
        "correlation_id": "correlation-1",
        "actor": f"user:{ids.new_id()}",
        "data": {"email": SEALED},
    }
    return Envelope.model_validate(fields | changes, strict=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def said(result: Result) -> str:
    return " ".join(result.output.split())


# ---- what is refused


@pytest.mark.usefixtures("without_platform")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("queues",), "Does the platform run? `make status`"),
        (("queues", "--watch", "--json"), "leave it away, and ask for --json as often as you like"),
        (("events", "tail", "--seconds", "1"), "Does the platform run? `make status`"),
        (("events", "tail", "--service", "nobody"), "No service is called nobody. Known ones: auth,"),
        (("events", "tail", "--type", "Tasks"), "is no event type"),
        (("events", "show", str(ids.new_id())), "Does the platform run?"),
        (("events", "list", "--type", "tasks.nothing.*"), "--type matches no event type"),
        (("dead", "list", "--service", "auth"), "There is no subscription of auth"),
        (("dead", "list", "--subscription", "payments.tasks"), "Known ones: ledger.every.event,"),
        (("dead", "redrive"), "--all means every one"),
        (("dead", "drop", "--reason", "void"), "--all means every one"),
        (("dead", "drop", "--service", "payments", "--reason", " "), "Say in 1 to 500 characters why"),
        (("dead", "drop", "--service", "payments", "--reason", "x" * 501), "Say in 1 to 500 characters why"),
        (("dead", "drop", "--service", "payments"), "Missing option '--reason'"),
        (("replay", "nobody"), "No service is called nobody"),
        (("replay", "notify"), "Choose one subscription of notify with --subscription: notify.auth.email"),
        (("replay", "payments", "--from", "yesterday"), "an age such as 90m, 24h or 7d"),
        (("replay", "payments", "--from", "now", "--to", "1h"), "--from is later than --to"),
        (("replay", "payments", "--type", "tasks.task.validated"), "payments.tasks.task is ordered: it needs every event"),
        (("replay", "media", "--type", "auth.#"), "--type matches nothing that media.tasks.task gets: tasks.task.submitted"),
        (("replay", "media", "--baseline"), "media.tasks.task is not ordered and has no gates"),
        (("replay", "payments", "--as", "a b"), "for example rebuild_1"),
        (("replay", "payments", "--as", "new", "--baseline"), "a rebuild sets baselines by itself"),
    ],
)
def test_what_cannot_end_well_is_refused_with_what_to_do(arguments: tuple[str, ...], sentence: str) -> None:
    result = run(*arguments)

    assert result.exit_code in (1, 2)
    assert sentence in said(result)
    assert "Traceback" not in result.output


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_list_has_a_limit(count: int) -> None:
    assert run("events", "list", "--limit", str(count)).exit_code == 2


# ---- times


def test_times_are_written_as_people_think_of_them() -> None:
    now = clock.now()

    assert moment("beginning") == BEGINNING
    assert abs(moment("now") - now) < timedelta(minutes=1)
    assert abs(moment("90m") - (now - timedelta(minutes=90))) < timedelta(minutes=1)
    assert abs(moment("7d") - (now - timedelta(days=7))) < timedelta(minutes=1)
    assert moment("2026-11-26T09:00").isoformat() == "2026-11-26T09:00:00+00:00"
    assert moment("2026-11-26T09:00+02:00").isoformat() == "2026-11-26T09:00:00+02:00"


@pytest.mark.parametrize("text", ["", "yesterday", "0m", "-5m", "5y", "1234567d", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is no time"):
        moment(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, ""), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (172_800, "2 d")],
)
def test_an_age_is_short(seconds: float | None, expected: str) -> None:
    assert age(seconds) == expected


def test_an_age_from_before_there_were_computers_is_the_beginning() -> None:
    assert moment("999999d") - BEGINNING < timedelta(minutes=1)


# ---- what is shown


OBEYED = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e[bold red]:bomb:"


def shown(capsys: pytest.CaptureFixture[str], *tell: Callable[[], None]) -> str:
    for each in tell:
        each()
    return capsys.readouterr().out


def test_a_terminal_obeys_nothing_of_what_others_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = envelope(subject=OBEYED, data={"name": OBEYED})
    letter = DeadLetter(SUBSCRIPTION, Received(b"", {"x-reason": OBEYED, "x-error": OBEYED}, "x", 1), hostile, vouched=True)
    broken = replace(letter, received=replace(letter.received, body=OBEYED.encode()), envelope=None)
    standing = Standing(
        hostile, None, published=True, places=[Place("x", "dead letter", None, OBEYED)], leaf_index=None, caused=[]
    )

    text = shown(
        capsys,
        lambda: show(hostile, as_json=False),
        lambda: _print_whole(letter),
        lambda: _print_whole(broken),
        lambda: print_table(_table([letter, broken])),
        lambda: _print(standing, hostile.id),
    )

    assert text.count("\\x1b]0;owned") > 10
    assert not set(text) & set("\x07\x1b\x9b\r\u202e")
    assert "[bold red]:bomb:" in text


def test_json_holds_no_character_that_a_terminal_obeys_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": OBEYED + "é\x7f"}

    text = shown(capsys, lambda: print_json(document), lambda: print_json_line(document))

    assert not set(text) & set("\x07\x1b\x7f\x9b\r\u202e")
    assert json.loads(text.splitlines()[-1]) == json.loads("".join(text.splitlines()[:-1])) == document
    assert "é" in text


def test_sealed_content_is_only_marked() -> None:
    shown = json.dumps([plain(envelope()), without_seals({"list": [SEALED]})]) + line(envelope())

    assert "SECRETSECRET" not in shown
    assert shown.count("(sealed)") == 2


def test_a_filter_takes_what_all_of_it_means() -> None:
    opened = envelope()

    assert Filter().takes(opened)
    assert Filter(("tasks.#",), "tasks", "task-1", "correlation-1").takes(opened)
    assert not Filter(("auth.#",)).takes(opened)
    assert not Filter(service="auth").takes(opened)
    assert not Filter(subject="task-2").takes(opened)
    assert not Filter(correlation="another").takes(opened)


def test_the_broker_is_asked_for_no_more_than_is_shown() -> None:
    assert Filter().bindings == ("#",)
    assert Filter(service="auth").bindings == ("auth.#",)
    assert Filter(("tasks.task.*",), "tasks").bindings == ("tasks.task.*",)


def test_what_is_no_event_is_not_followed() -> None:
    bodies = [b"not json", envelope().encode()]
    received = [Received(body, {}, "tasks.task.opened", tag) for tag, body in enumerate(bodies)]

    assert [each.type for each in decoded(received, Filter())] == ["tasks.task.opened"]


def test_a_line_names_type_subject_number_actor_and_correlation() -> None:
    shown = line(envelope(actor="operator", subject="task[bold]1"))

    for part in ("tasks.task.opened", r"task\[bold]1", "#3", "operator", "lation-1"):
        assert part in shown


def test_a_dead_letter_is_shown_whole_without_sealed_content() -> None:
    headers = {"x-attempts": 5, "x-error": "InternalError", "x-reason": "jammed", "x-failed-at": "2026-11-26T09:00:00+00:00"}
    letter = DeadLetter(SUBSCRIPTION, Received(envelope().encode(), headers, "", 1), envelope(), vouched=True)

    shown = whole(letter)

    assert (shown["attempts"], shown["error"], shown["reason"]) == (5, "InternalError", "jammed")
    assert shown["event"]["data"]["email"]["sealed"] == "(sealed)"
    assert "SECRETSECRET" not in json.dumps(shown)


def test_what_the_broker_gave_up_by_itself_says_so() -> None:
    deaths = [{"reason": "delivery_limit", "count": 1, "queue": "payments.tasks.task.q2", "time": clock.now()}]
    letter = DeadLetter(SUBSCRIPTION, Received(envelope().encode(), {"x-death": deaths}, "", 1), envelope(), vouched=True)

    shown = summary(letter)

    assert (shown["error"], shown["attempts"]) == ("delivery_limit", 0)
    assert "the consumer was lost with it too often" in shown["reason"]
    assert shown["failed_at"]
    json.dumps(whole(letter))


def test_what_is_no_event_is_shown_as_it_came() -> None:
    letter = DeadLetter(SUBSCRIPTION, Received(b"\xffnot json", {"x-error": "MalformedEvent"}, "", 1), None, vouched=False)

    assert whole(letter)["body"] == "�not json"
    assert summary(letter)["id"] is None


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, 0),
        ({"consumers": 0}, 1),
        ({"dead": 1}, 1),
        ({"oldest_seconds": OLD_SECONDS - 1}, 0),
        ({"oldest_seconds": OLD_SECONDS}, 0),
        ({"oldest_seconds": OLD_SECONDS + 1}, 1),
        ({"parked": 2, "oldest_parked_seconds": OLD_SECONDS + 1}, 1),
    ],
)
def test_attention_is_asked_for_when_something_is_wrong(changes: dict[str, float], needed: int) -> None:
    row = Row("payments.tasks.task", "payments.tasks.task.q2", **{"consumers": 1, **changes})  # type: ignore[arg-type]

    assert len(list(_attention(row))) == needed


@pytest.mark.usefixtures("without_platform")
def test_every_subscription_knows_its_producers_and_types() -> None:
    bus: Bus = this_bus()
    (payments,) = bus.subscriptions("payments")

    assert [each.name for each in bus.producers(payments)] == ["tasks"]
    assert "tasks.task.validated" in bus.wanted(payments)
    (ledger,) = bus.subscriptions("ledger")
    assert {each.name for each in bus.producers(ledger)} == set(bus.members)
    assert bus.wanted(ledger) == bus.types


def test_an_event_id_is_a_uuid() -> None:
    assert run("events", "show", "42").exit_code == 2
