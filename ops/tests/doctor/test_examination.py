"""How boxes are asked: side by side, each with its deadline, and never with a false tick."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from ops.doctor import command
from ops.doctor.box import Box, Finding, NotApplicable, NotExamined, State, Target, Weight, bad, box, boxes, good, judged
from ops.doctor.examination import Answer, ask, examine
from ops.doctor.examined import Examined
from ops.doctor.processes import Unread
from ops.errors import OperationError
from ops.tests.doctor.stage import Stage

PASSWORD_IN_AN_ADDRESS = "postgresql://lumiere:hunter2@127.0.0.1/lumiere"


def a_box(question: Any, **changes: Any) -> Box:
    return Box("a-box", "A box", "Do this.", "group", "Is it so?", question, **changes)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def doctored(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The command examines the stage."""
    monkeypatch.setattr(command, "here", lambda *_arguments, **_options: stage)
    return stage


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", *arguments])


def test_what_a_box_raises_is_its_finding_and_no_tick(stage: Stage) -> None:
    def raising(error: Exception) -> Box:
        def question(_: Examined) -> Finding:
            raise error

        return a_box(question)

    assert ask(raising(NotExamined("the broker is away")), stage) == Finding(State.NOT_EXAMINED, "the broker is away")
    assert ask(raising(OperationError("Start it.")), stage) == Finding(State.NOT_EXAMINED, "Start it.")
    foreign = ask(raising(RuntimeError(PASSWORD_IN_AN_ADDRESS)), stage)
    assert (foreign.state, foreign.ok, foreign.evidence) == (State.NOT_EXAMINED, False, "RuntimeError")
    assert ask(raising(NotApplicable("no Redis")), stage).ok


def test_a_box_that_hangs_is_not_ticked_and_keeps_no_other_waiting(stage: Stage) -> None:
    released = threading.Event()

    def hanging(_: Examined) -> Finding:
        released.wait(60)
        return good("at last")

    quick = Box("quick", "", "", "", "", lambda _: good("at once"))
    slow = Box("slow", "", "", "", "", hanging, seconds=0.1)
    try:
        answers = examine([slow, quick], stage)
    finally:
        released.set()
    assert [each.box.name for each in answers] == ["slow", "quick"]
    assert answers[0].finding == Finding(State.NOT_EXAMINED, "no answer within 0.1 s")
    assert answers[1].finding == good("at once")


def test_boxes_are_asked_side_by_side(stage: Stage) -> None:
    together = threading.Barrier(8)

    def meeting(_: Examined) -> Finding:
        together.wait(10)
        return good("we met")

    named = [Box(f"b{number}", "", "", "", "", meeting) for number in range(8)]
    told: list[Answer] = []
    assert all(each.finding.ok for each in examine(named, stage, told.append))
    assert len(told) == 8


def test_a_box_is_asked_where_it_can_be_answered_only(stage: Stage) -> None:
    asked = ask(a_box(lambda _: bad("seen"), targets=frozenset({Target.ENGINE})), stage)
    assert (asked.state, asked.ok) == (State.NOT_APPLICABLE, True)
    stage.production = False
    assert ask(a_box(lambda _: bad("seen"), production=True), stage).state is State.NOT_APPLICABLE
    assert ask(a_box(lambda _: bad("seen")), stage).state is State.FAILED


def test_all_faults_are_told_and_the_cure_closest_to_the_finding() -> None:
    finding = judged(["one", "two"], "all well")
    assert (finding.state, finding.evidence) == (State.FAILED, "one; two")
    assert Answer(a_box(good), finding).fix == "Do this."
    assert Answer(a_box(good), bad("one", "Do that.")).fix == "Do that."
    assert Answer(a_box(good), judged([], "all well")).fix == ""


def test_only_a_required_box_stops_anybody() -> None:
    assert Answer(a_box(good), bad("x")).stops
    assert not Answer(a_box(good, weight=Weight.ADVISED), bad("x")).stops
    assert Answer(a_box(good), Finding(State.NOT_EXAMINED, "x")).stops


@pytest.mark.parametrize("name", ["two words", "UPPER", "trailing-", ""])
def test_a_box_has_a_name_that_scripts_can_use(name: str) -> None:
    with pytest.raises(ValueError, match="name of its own"):
        box(name, "A box", fix="Do this.")(test_only_a_required_box_stops_anybody)  # type: ignore[arg-type]


def test_a_name_is_given_once_and_every_box_says_what_it_asks_and_what_helps() -> None:
    known = boxes()
    with pytest.raises(ValueError, match=known[0].name):
        box(known[0].name, "Again", fix="Do this.")(known[0].question)
    assert {each.name for each in known}.isdisjoint(each.group for each in known)
    assert all(each.asks.endswith(("?", ".")) and each.fix and each.title for each in known)


def test_the_ten_boxes_of_the_checklist_are_there_and_required() -> None:
    ten = {
        "auth-secret",
        "database-tls",
        "https",
        "no-env-file",
        "no-root",
        "stripe-webhook-secret",
        "sentry-dsn",
        "cron-secret",
        "redis-password",
        "administrator-password",
    }
    assert {each.name for each in boxes() if each.weight is Weight.REQUIRED} >= ten


def test_json_is_a_list_of_name_ok_evidence_and_fix(doctored: Stage) -> None:
    result = doctor("--json", "--only", "edge", "--only", "outbox")
    answers = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {tuple(each) for each in answers} == {("name", "ok", "evidence", "fix")}
    assert [each["name"] for each in answers] == [
        each.name for each in boxes() if each.group == "edge" or each.name == "outbox"
    ]


def test_the_exit_code_says_whether_a_required_box_is_unticked(doctored: Stage) -> None:
    assert doctor("--only", "processes-answer").exit_code == 0
    doctored.told.append(Unread("tasks-web-2", "ConnectError"))
    shown = doctor("--only", "processes-answer")
    assert shown.exit_code == 1
    assert "✗ FAILED" in shown.stdout
    assert "tasks-web-2 does not answer" in shown.stdout
    assert "→" in shown.stdout


def test_a_platform_that_does_not_run_ends_with_its_own_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUMIERE_HOME", str(tmp_path))
    assert doctor("--json").exit_code == 2
    assert doctor("--only", "no-such-box").exit_code == 2


def test_the_list_tells_what_each_box_asks() -> None:
    listed = json.loads(doctor("--list", "--json").stdout)
    assert [each["name"] for each in listed] == [each.name for each in boxes()]
    assert "outbox" in doctor("--list").stdout


def test_what_was_told_inside_a_container_is_told_again_outside() -> None:
    told = {
        "outbox": {"name": "outbox", "ok": False, "evidence": "could not be examined: away", "fix": "Look."},
        "hsts": {"name": "hsts", "ok": True, "evidence": "not applicable: asked of production", "fix": ""},
        "consumers": {"name": "consumers", "ok": False, "evidence": "nobody consumes x", "fix": "Start it."},
        "clock-database": {"name": "clock-database", "ok": True, "evidence": "0.00 s", "fix": ""},
    }

    class Inside:
        def doctor(self, _arguments: list[str]) -> list[dict[str, Any]]:
            return list(told.values())

    asked = [each for each in boxes() if each.name in told]
    answers = command.from_inside(asked, Inside(), [])  # type: ignore[arg-type]
    assert {each.box.name: each.document() for each in answers} == told
