"""The timeline grows and never changes; who cannot be told never stops it; a review that is overdue fails the check."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import time_machine
from click.testing import CliRunner, Result

from gateway.containment import Containment
from gateway.folder import Folder
from ops.cli import main
from ops.errors import OperationError
from ops.incident import documents
from ops.incident.timeline import (
    FILE,
    POST_MORTEM,
    POST_MORTEM_DUE,
    TEXT_MAX,
    TITLE_MAX,
    Incidents,
    Kind,
    Severity,
    TimelineBroken,
)

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
ROUTING_KEY = "a-routing-key-of-tests-only"  # pragma: allowlist secret


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform of its own whose people cannot be told yet."""
    for name in ("INCIDENT_SLACK_WEBHOOK", "PAGERDUTY_ROUTING_KEY", "LUMIERE_INCIDENTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LUMIERE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    return Incidents(tmp_path / "incidents")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["incident", *arguments])


def told(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- the timeline


def test_what_was_said_is_read_back_in_order(incidents: Incidents) -> None:
    with time_machine.travel(NOON, tick=False):
        name = incidents.start(Severity.SEV_2, "Mail does not leave", "ada").name
        incidents.add(name, Kind.NOTE, "bob", "The provider refuses us")
        incidents.add(name, Kind.SEVERITY, "ada", "Nobody can sign up", severity=Severity.SEV_1)
    read = incidents.read(name)
    assert name == "INC-20261126-1"
    assert [(each.number, each.kind, each.by) for each in read.entries] == [
        (1, "started", "ada"),
        (2, "note", "bob"),
        (3, "severity", "ada"),
    ]
    assert (read.severity, read.state, read.started_at) == (Severity.SEV_1, "open", NOON)


def test_incidents_of_a_day_are_counted_and_the_tenth_follows_the_ninth(incidents: Incidents) -> None:
    with time_machine.travel(NOON):
        names = [incidents.start(Severity.SEV_3, f"Number {number}", "ada").name for number in range(1, 11)]
    assert names == incidents.names() == [f"INC-20261126-{number}" for number in range(1, 11)]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0], lines[1].replace("refuses", "loves"), lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], lines[2], lines[1]],
        lambda lines: [lines[0], "not even JSON", lines[2]],
        lambda lines: lines[:0],
    ],
)
def test_a_timeline_that_was_changed_is_noticed(incidents: Incidents, change: Any) -> None:
    name = incidents.start(Severity.SEV_2, "Mail does not leave", "ada").name
    incidents.add(name, Kind.NOTE, "bob", "The provider refuses us")
    incidents.add(name, Kind.NOTE, "bob", "They accept again")
    path = incidents.folder / name / FILE
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(TimelineBroken, match=r"copied|copy"):
        incidents.read(name)
    with pytest.raises(TimelineBroken):
        incidents.add(name, Kind.NOTE, "bob", "on top of it")


def test_notes_of_many_at_once_are_all_there(incidents: Incidents) -> None:
    name = incidents.start(Severity.SEV_2, "Mail does not leave", "ada").name
    ready = threading.Barrier(8)

    def note(number: int) -> None:
        ready.wait()
        incidents.add(name, Kind.NOTE, f"person {number}", "seen")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(8)))
    assert sorted(each.by for each in incidents.read(name).of(Kind.NOTE)) == [f"person {number}" for number in range(8)]


@pytest.mark.parametrize(
    ("length", "fits"), [(1, True), (TEXT_MAX - 1, True), (TEXT_MAX, True), (TEXT_MAX + 1, False), (0, False)]
)
def test_a_note_has_its_length(incidents: Incidents, length: int, *, fits: bool) -> None:
    name = incidents.start(Severity.SEV_3, "x" * TITLE_MAX, "ada").name
    if fits:
        incidents.add(name, Kind.NOTE, "ada", "x" * length)
        return
    with pytest.raises(OperationError, match=f"1 to {TEXT_MAX}"):
        incidents.add(name, Kind.NOTE, "ada", "x" * length)


def test_a_title_is_one_line_that_fits(incidents: Incidents) -> None:
    with pytest.raises(OperationError, match=f"1 to {TITLE_MAX}"):
        incidents.start(Severity.SEV_3, "x" * (TITLE_MAX + 1), "ada")


def test_what_has_ended_does_not_end_again_nor_change_its_severity(incidents: Incidents) -> None:
    name = incidents.start(Severity.SEV_3, "Slow", "ada").name
    with pytest.raises(OperationError, match="only one that has ended"):
        incidents.add(name, Kind.REVIEWED, "ada", "held")
    incidents.add(name, Kind.ENDED, "ada", "quick again")
    incidents.add(name, Kind.NOTE, "ada", "what we learned later")
    for kind in (Kind.ENDED, Kind.SEVERITY):
        with pytest.raises(OperationError, match="has ended"):
            incidents.add(name, kind, "ada", "again", severity="SEV-1")


def test_nothing_of_it_is_readable_by_others(incidents: Incidents) -> None:
    folder = incidents.start(Severity.SEV_3, "Slow", "ada").folder
    assert [oct(path.stat().st_mode & 0o077) for path in (incidents.folder, folder, folder / FILE)] == ["0o0"] * 3


# --- the review that is due


@pytest.mark.parametrize(
    ("after", "code"),
    [(POST_MORTEM_DUE - timedelta(seconds=1), 0), (POST_MORTEM_DUE, 0), (POST_MORTEM_DUE + timedelta(seconds=1), 1)],
)
def test_a_post_mortem_is_overdue_after_48_hours(home: Path, after: timedelta, code: int) -> None:
    with time_machine.travel(NOON, tick=False):
        name = told("start", "SEV-2", "Mail does not leave")["id"]
        ended = told("end", "Twelve mails arrived")
    assert ended["review_due_at"] == (NOON + timedelta(hours=48)).isoformat()
    with time_machine.travel(NOON + after, tick=False):
        result = run("check", "--json")
    assert result.exit_code == code
    assert all(name in fault for fault in json.loads(result.stdout)["faults"])


def test_an_open_incident_is_no_fault_and_a_broken_timeline_is(home: Path) -> None:
    name = told("start", "SEV-3", "Slow")["id"]
    assert run("check").exit_code == 0
    (home / "incidents" / name / FILE).write_text("{}\n")
    assert run("check").exit_code == 1


def test_a_review_is_refused_until_every_part_is_written(home: Path) -> None:
    name = told("start", "SEV-2", "Mail does not leave")["id"]
    told("note", "--impact", "Nobody new gets in")
    told("end", "Twelve mails arrived")
    path = home / "incidents" / name / POST_MORTEM
    text = path.read_text()
    assert "Nobody new gets in" in text
    assert "still stands in line" in run("review", name).stderr
    path.write_text(text.replace(documents.UNWRITTEN, "written").replace("## Causes", "## Excuses"))
    assert "has no part Causes" in run("review", name).stderr
    path.write_text(text.replace(documents.UNWRITTEN, "written"))
    assert told("review", name)["state"] == "reviewed"
    with time_machine.travel(datetime.now(UTC) + timedelta(days=30)):
        assert run("check").exit_code == 0


def test_a_post_mortem_that_somebody_began_is_left_alone(incidents: Incidents) -> None:
    name = incidents.start(Severity.SEV_3, "Slow", "ada").name
    ended = incidents.add(name, Kind.ENDED, "ada", "quick again")
    documents.begin_post_mortem(ended).write_text("mine")
    assert documents.begin_post_mortem(ended).read_text() == "mine"


# --- the document


def test_the_document_tells_impact_mitigation_and_timeline_and_obeys_nobody(home: Path) -> None:
    name = told("start", "SEV-1", "Payments | <b>stop</b>")["id"]
    told("note", "--impact", "Nobody is paid")
    told("note", "--mitigation", "payments-worker was scaled to 3")
    page = (home / "incidents" / name / "incident.md").read_text()
    assert r"Payments \| \<b\>stop\</b\>" in page
    assert (
        page.index("Nobody is paid") < page.index("## Mitigation") < page.index("payments-worker") < page.index("## Timeline")
    )
    shown = run("show", "--document")
    assert shown.stdout == page


def test_without_a_name_the_only_open_one_is_meant(home: Path) -> None:
    assert "No incident is open" in run("note", "hello").stderr
    first = told("start", "SEV-3", "Slow")["id"]
    assert told("note", "seen")["id"] == first
    second = told("start", "SEV-3", "Slower")["id"]
    assert "name one with --id" in run("note", "seen").stderr
    assert told("note", "seen", "--id", second)["id"] == second
    assert [each["id"] for each in told("list")] == [first, second]


@pytest.mark.parametrize("name", ["INC-20261126-9", "../../etc", "INC-20261126-1/../.."])
def test_a_name_that_is_none_is_refused(home: Path, name: str) -> None:
    assert "There is no incident" in run("show", name).stderr


# --- telling people: Slack and PagerDuty are fakes here


class Fake:
    """A fake of Slack and PagerDuty: keeps what it is sent, answers with a status."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.status = 200

    @contextmanager
    def serving(self) -> Iterator[str]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                fake.heard.append((self.path, json.loads(content)))
                self.send_response(fake.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()


@pytest.fixture
def fake(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """People can be told, through fakes."""
    people = Fake()
    with people.serving() as address:
        monkeypatch.setenv("INCIDENT_SLACK_WEBHOOK", f"{address}/slack/the-secret-part")
        monkeypatch.setenv("PAGERDUTY_ROUTING_KEY", ROUTING_KEY)
        monkeypatch.setenv("PAGERDUTY_EVENTS_URL", f"{address}/pagerduty")
        yield people


def test_a_severe_incident_is_told_to_slack_and_wakes_who_is_on_call(fake: Fake) -> None:
    answer = told("start", "SEV-1", "Payments stop")
    (slack_path, slack), (pager_path, pager) = fake.heard
    assert (slack_path, pager_path) == ("/slack/the-secret-part", "/pagerduty")
    assert slack["text"].startswith(f"*SEV-1 {answer['id']} started*: Payments stop")
    assert (pager["event_action"], pager["dedup_key"], pager["routing_key"]) == ("trigger", answer["id"], ROUTING_KEY)
    assert (pager["payload"]["severity"], pager["payload"]["source"]) == ("critical", "Lumière on call")
    assert all(each["reached"] for each in answer["announcements"])
    told("note", "--severity", "SEV-2", "Only refunds")
    told("end", "A refund went through")
    assert [each["event_action"] for path, each in fake.heard if path == "/pagerduty"] == ["trigger", "trigger", "resolve"]


def test_the_least_severe_wakes_nobody(fake: Fake) -> None:
    told("start", "SEV-3", "Slow")
    assert [path for path, _ in fake.heard] == ["/slack/the-secret-part"]


def test_words_of_ours_mention_and_mark_up_nothing_in_slack(fake: Fake) -> None:
    told("start", "SEV-3", "<!channel> & `code`")
    assert "&lt;!channel&gt; &amp; 'code'" in fake.heard[0][1]["text"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_who_refuses_to_be_told_does_not_stop_the_timeline_and_is_named(fake: Fake, status: int) -> None:
    fake.status = status
    answer = told("start", "SEV-1", "Payments stop")
    assert [each["said"] for each in answer["announcements"]] == [f"answered {status}"] * 2
    assert [each["kind"] for each in answer["entries"]] == ["started", "announced"]


def test_who_cannot_be_reached_does_not_stop_the_timeline(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCIDENT_SLACK_WEBHOOK", "http://127.0.0.1:1/the-secret-part")
    result = run("start", "SEV-1", "Payments stop")
    assert result.exit_code == 0
    assert "could not be reached (ConnectError)" in result.output
    assert "set PAGERDUTY_ROUTING_KEY" in result.output


def test_no_secret_is_shown_or_written_down(fake: Fake, home: Path) -> None:
    fake.status = 500
    shown = run("start", "SEV-1", "Payments stop").output + run("show", "--json").output
    written = "".join(path.read_text() for path in (home / "incidents").rglob("*") if path.is_file())
    assert "the-secret-part" not in shown + written
    assert ROUTING_KEY not in shown + written


@pytest.mark.parametrize(
    "pasted",
    [
        "sk_live_4eC39HqLyjWDarjt",  # pragma: allowlist secret
        "postgresql://lumiere:verysecret@db/x",  # pragma: allowlist secret
        "AGE-SECRET-KEY-1QQQQ",
        "ada@example.org",
    ],
)
def test_a_secret_that_somebody_pasted_is_announced_to_nobody(fake: Fake, pasted: str) -> None:
    answer = told("start", "SEV-1", f"Leaked: {pasted} is in a public gist")
    told("end", f"{pasted} was revoked")

    assert pasted in answer["title"], "the timeline keeps what was said"
    assert len(fake.heard) == 4
    said = json.dumps([document for _, document in fake.heard])
    assert pasted.rpartition("//")[2].partition("@")[0] not in said
    assert "is in a public gist" in said


def test_a_webhook_may_come_from_a_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = Fake()
    with people.serving() as address:
        (tmp_path / "webhook").write_text(f"{address}/from-a-file\n")
        monkeypatch.setenv("INCIDENT_SLACK_WEBHOOK_FILE", str(tmp_path / "webhook"))
        told("start", "SEV-3", "Slow")
    assert people.heard[0][0] == "/from-a-file"


# --- containment


def test_maintenance_shuts_the_door_of_this_machine_and_the_end_may_open_it(home: Path) -> None:
    folder = home / "gateway"
    folder.mkdir(parents=True)
    started = told("start", "SEV-1", "Somebody is inside", "--maintenance")
    assert [each["kind"] for each in started["entries"]] == ["started", "maintenance", "announced"]
    said = Containment(Folder(folder)).maintenance
    assert said.enabled
    assert said.operator is not None
    assert said.operator.reason == f"{started['id']}: Somebody is inside"
    ended = run("end", "They are out", "--open")
    assert ended.exit_code == 0
    assert not Containment(Folder(folder)).maintenance.enabled


def test_a_door_that_cannot_be_shut_is_part_of_the_story(home: Path) -> None:
    result = run("start", "SEV-1", "Somebody is inside", "--maintenance")
    assert result.exit_code == 0
    assert "exec gateway python -m gateway maintenance on" in result.output
    assert "FAILED" in told("show")["entries"][1]["text"]
    assert "leaves it to auth" not in run("end", "They are out").output


# --- the drill


def test_a_drill_is_refused_in_production(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUMIERE_ENV", "production")
    result = run("drill")
    assert result.exit_code == 1
    assert "This is production" in result.output
    assert not (home / "incidents").exists()
