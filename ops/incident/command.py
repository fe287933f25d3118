"""`lumiere incident`: declare, note, end, review; what is due."""

import os
import pwd
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import click
from rich.table import Table

from libs.common import clock
from ops import console
from ops.command_line import json_option, this_platform, told
from ops.console import err, literal, out
from ops.demo.report import Report
from ops.errors import OperationError
from ops.incident import containment, documents
from ops.incident import drill as rehearsal
from ops.incident.announce import Announcement, announce
from ops.incident.timeline import POST_MORTEM, Incident, Incidents, Kind, Severity, TimelineBroken
from ops.layout import Layout

OVERDUE: Final = 1
severity_type: Final = click.Choice([each.value for each in Severity], case_sensitive=False)
id_option = click.option("--id", "name", metavar="INC-…", help="Which incident; may be left out while only one is open.")
by_option = click.option("--by", metavar="NAME", help="Who says so; the system's user if left out.")


@click.group(name="incident")
def group() -> None:
    """Incidents: a timeline that only grows, announced to Slack and PagerDuty (docs/runbooks/emergency.md)."""


@group.command()
@click.argument("severity", type=severity_type)
@click.argument("title")
@click.option("--maintenance", is_flag=True, help="Shut the door of this machine's gateway at once, as containment.")
@by_option
@json_option
@told
def start(severity: str, title: str, maintenance: bool, by: str | None, as_json: bool) -> None:
    """Declare an incident: SEV-1, SEV-2 or SEV-3, and in one line what is wrong. Writes it down first, then tells people."""
    layout, who = this_platform().layout, _who(by)
    incidents = Incidents(layout.incidents)
    incident = incidents.start(Severity(severity.upper()), title, who)
    if maintenance:
        incident = _shut(incidents, incident, layout, who)
    _report(*_told_people(incidents, incident, layout, "started", title), as_json)


@group.command()
@click.argument("text")
@click.option("--impact", "about", flag_value="impact", help="It says who cannot do what: it goes under Impact.")
@click.option(
    "--mitigation", "about", flag_value="mitigation", help="It says what was done against it: it goes under Mitigation."
)
@click.option("--severity", type=severity_type, help="It is worse, or less bad, than was thought; people are told.")
@id_option
@by_option
@json_option
@told
def note(text: str, about: str | None, severity: str | None, name: str | None, *, by: str | None, as_json: bool) -> None:
    """Write down what is seen, thought or done, the moment it is. A wrong note is never changed: another corrects it."""
    layout, who = this_platform().layout, _who(by)
    incidents = Incidents(layout.incidents)
    found = incidents.chosen(name)
    if severity is None:
        _report(incidents.add(found.name, Kind.NOTE, who, text, **({"about": about} if about else {})), [], as_json)
        return
    if about:
        raise OperationError("A change of severity is a note of its own; say impact and mitigation in another.")
    incident = incidents.add(found.name, Kind.SEVERITY, who, text, severity=Severity(severity.upper()))
    _report(*_told_people(incidents, incident, layout, "severity", text), as_json)


@group.command()
@click.argument("text")
@click.option("--open", "opened", is_flag=True, help="Take the operator's word on maintenance back: auth's flag counts again.")
@id_option
@by_option
@json_option
@told
def end(text: str, opened: bool, name: str | None, by: str | None, as_json: bool) -> None:
    """It is over: TEXT says how that was verified. Lays out the post-mortem, which is due within 48 hours."""
    layout, who = this_platform().layout, _who(by)
    incidents = Incidents(layout.incidents)
    found = incidents.chosen(name)
    if opened:
        found = _noted(incidents, found, who, lambda: containment.leave_to_auth(layout, who), "The door is left to auth's flag")
    incident = incidents.add(found.name, Kind.ENDED, who, text)
    documents.begin_post_mortem(incident)
    _report(*_told_people(incidents, incident, layout, "ended", text), as_json)
    if not opened and any(each.details["held"] for each in incident.of(Kind.MAINTENANCE)):
        err.print("[yellow]![/] The door was shut for it: `lumiere gateway maintenance follow` leaves it to auth's flag again.")


@group.command()
@click.argument("name", metavar="INC-…")
@by_option
@json_option
@told
def review(name: str, by: str | None, as_json: bool) -> None:
    """The post-mortem was written and held. Refused while a part of it is missing or unwritten."""
    incidents = Incidents(this_platform().layout.incidents)
    path = incidents.read(name).folder / POST_MORTEM
    documents.require_written(path)
    _report(incidents.add(name, Kind.REVIEWED, _who(by), "The post-mortem was held.", document=path.name), [], as_json)


@group.command()
@click.argument("name", required=False, metavar="[INC-…]")
@click.option("--document", is_flag=True, help="As the page of Markdown that is kept beside the timeline.")
@json_option
@told
def show(name: str | None, document: bool, as_json: bool) -> None:
    """One incident with its timeline, verified; without a name the only open one."""
    incident = Incidents(this_platform().layout.incidents).chosen(name)
    if as_json:
        console.print_json(incident.document())
    elif document:
        out.file.write(documents.incident_document(incident))
    else:
        _show(incident)


@group.command(name="list")
@json_option
@told
def list_incidents(as_json: bool) -> None:
    """Every incident, the newest last."""
    incidents = Incidents(this_platform().layout.incidents).all()
    if as_json:
        console.print_json([{key: value for key, value in each.document().items() if key != "entries"} for each in incidents])
        return
    if not incidents:
        out.print("There was no incident.")
        return
    table = _table("INCIDENT", "SEVERITY", "STATE", "STARTED", "TITLE")
    for each in incidents:
        table.add_row(each.name, each.severity, each.state, f"{each.started_at:%Y-%m-%d %H:%M}", literal(each.title))
    out.print(table)


@group.command()
@json_option
@told
def check(as_json: bool) -> None:
    """Exit code 1 when a post-mortem is overdue (48 hours after the end) or a timeline is not what was written."""
    found = faults(Incidents(this_platform().layout.incidents), clock.now())
    if as_json:
        console.print_json({"ok": not found, "faults": found})
    else:
        for fault in found:
            out.print(f"[red]✗[/] {literal(fault)}")
        if not found:
            out.print("No post-mortem is overdue, and every timeline is what was written.")
    sys.exit(OVERDUE if found else 0)


@group.command()
@json_option
@told
def drill(as_json: bool) -> None:
    """Rehearse a credential leak on this local platform, as a SEV-3 with its timeline; refused in production.

    It withdraws the key that signs tokens: whoever is signed in here refreshes once.
    """
    platform, who = this_platform(), _who(None)
    rehearsal.require_rehearsal(platform)
    platform.up()
    incidents, layout = Incidents(platform.layout.incidents), platform.layout
    opened = incidents.start(Severity.SEV_3, "Drill: a credential has leaked", who)
    _told_people(incidents, opened, layout, "started", opened.title)
    report = Report(quiet=as_json)
    rehearsal.drill(platform, report)
    for each in report.steps:
        said = f"{each.title}: {each.fault or each.note or 'so it is'}"
        incidents.add(opened.name, Kind.NOTE, who, said, about="mitigation")
    summary = f"{report.passed} passed, {report.failed} failed"
    ended = incidents.add(opened.name, Kind.ENDED, who, summary)
    documents.begin_post_mortem(ended)
    _told_people(incidents, ended, layout, "ended", summary)
    if as_json:
        console.print_json({**report.document(), "incident": opened.name})
    else:
        out.print(summary, style="bold red" if report.failed else "bold green")
        out.print(f"  {opened.name} keeps it; its post-mortem is due like any other: {literal(ended.folder / POST_MORTEM)}")
    sys.exit(int(report.failed > 0))


def faults(incidents: Incidents, now: datetime) -> list[str]:
    """What `check` fails for, a sentence each."""
    found = list[str]()
    for name in incidents.names():
        try:
            incident = incidents.read(name)
        except TimelineBroken as error:
            found.append(str(error))
            continue
        due = incident.review_due_at
        if due is not None and now > due:
            path = incident.folder / POST_MORTEM
            until = f"The post-mortem of {name} was due {due:%Y-%m-%d %H:%M} UTC"
            found.append(f"{until}: write {path}, then `lumiere incident review {name}`.")
    return found


def _shut(incidents: Incidents, incident: Incident, layout: Layout, who: str) -> Incident:
    reason = f"{incident.name}: {incident.title}"
    return _noted(incidents, incident, who, lambda: containment.shut(layout, reason, who), "Maintenance on")


def _noted(incidents: Incidents, incident: Incident, who: str, act: Any, said: str) -> Incident:
    """Do it, and write down what came of it, also when it failed: containment that did not hold is part of the story."""
    held = True
    try:
        text = f"{said}: {act()}"
    except OperationError as error:
        held, text = False, f"{said} FAILED: {error}"
        err.print(f"[red]✗[/] {literal(text)}")
    return incidents.add(incident.name, Kind.MAINTENANCE, who, text, held=held)


def _told_people(
    incidents: Incidents, incident: Incident, layout: Layout, act: str, text: str
) -> tuple[Incident, list[Announcement]]:
    """Announce it and write down who was told. The incident as it was written before is what they are told."""
    documents.write(incident)
    with console.step("Telling people", quiet_below=2):
        announcements = announce(layout.settings, incident, act, text)
    said = "; ".join(f"{each.channel} {each.said}" for each in announcements)
    return incidents.add(incident.name, Kind.ANNOUNCED, "lumiere", said, act=act), announcements


def _who(by: str | None) -> str:
    if by:
        return by
    user = os.getuid()
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return f"uid {user}"


def _report(incident: Incident, announcements: Sequence[Announcement], as_json: bool) -> None:
    page = documents.write(incident)
    due = incident.review_due_at
    if as_json:
        told_people = [{"channel": each.channel, "reached": each.reached, "said": each.said} for each in announcements]
        console.print_json({**incident.document(), "announcements": told_people, "page": str(page)})
        return
    out.print(
        f"[bold]{incident.name}[/] {incident.severity} {incident.state}: {literal(incident.title)}  [dim]{literal(page)}[/]"
    )
    for each in announcements:
        out.print(f"  {'[green]✓[/]' if each.reached else '[yellow]![/]'} {literal(each.channel)} {literal(each.said)}")
    if incident.state == "open":
        out.print('  [dim]next:[/] lumiere incident note "…" · lumiere incident end "how it was verified"')
    if due is not None:
        out.print(f"  The post-mortem is due {due:%Y-%m-%d %H:%M} UTC: {literal(incident.folder / POST_MORTEM)}")


def _show(incident: Incident) -> None:
    out.print(f"[bold]{incident.name}[/] {incident.severity} {incident.state}: {literal(incident.title)}")
    table = _table("WHEN (UTC)", "WHAT", "WHO", "IN WORDS")
    for each in incident.entries:
        table.add_row(f"{each.moment:%Y-%m-%d %H:%M:%S}", each.kind, literal(each.by), literal(each.text))
    out.print(table)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title)
    return table
