"""The checklist as a page for people: every box, what it asks, and what to do when it is not ticked."""

from collections.abc import Iterable
from itertools import groupby

from ops.doctor.box import Box, Target

HEAD = """\
# The checklist that examines itself

{notice}

`lumiere doctor` asks a running platform {count} questions at once, and answers each with what it saw and what to do about it.
Any platform may be asked, from three sides:

| side | command | what it sees |
|---|---|---|
| **local** | `lumiere doctor` | the platform that `make up` runs on this machine: processes, files, ports |
| **compose** | `docker compose -f deploy/compose.yml run --rm operator doctor` | servers, replicas, gateway, from beside |
| **engine** | `lumiere doctor --compose` | the same, and containers, images, secrets and backups, from outside |

`--json` is a list of `{{"name", "ok", "evidence", "fix"}}`. The exit code is 0 when every required box is ticked, 1 when one is
not, 2 when nothing could be examined. `--only` takes a box or a group, `--list` says what each asks. With `--compose`,
`-f` names an overlay and `-p` the project.

- A box is ticked by what was seen, never by a setting alone: TLS to the database is what Postgres says of the connections that
  the services hold.
- What **could not be examined** is not ticked, and says what stood in the way. What is **not asked** here says why, and stops
  nobody.
- *Production* boxes are asked where `LUMIERE_ENV=production`; `--production` asks them of any platform, for a rehearsal.
- Required boxes decide the exit code; *advised* ones are shown.

Evidence holds counts, names of processes, versions and dates, never a secret and nothing of a person. The doctor reads the
database as `lumiere_monitor`: that role sees one view of numbers in each schema (`figures`), the schemas' revisions and two
functions of counts, and no row of any table ([0040](decisions/0040-the-doctor-sees-numbers-never-rows.md)). Processes say
themselves, inside the network, which code they run, as which user, and which optional settings they hold, never a value.

A box is a function in `ops/doctor/boxes/`; name, weight and cure stand above it. Each has a fault that unticks it in
`ops/tests/doctor/`, or the tests fail.
"""
ALL_SIDES = frozenset(Target)


def doctor_page(boxes: Iterable[Box], notice: str) -> str:
    """Markdown: a table for each group, in the order in which the command shows them."""
    listed = list(boxes)
    lines = [HEAD.format(notice=notice, count=len(listed))]
    for group, members in groupby(listed, key=lambda each: each.group):
        lines += [f"## {group.capitalize()}", "", "| box | what it asks | where | when it is not ticked |", "|---|---|---|---|"]
        lines += [_row(each) for each in members]
        lines.append("")
    return "\n".join(lines)


def _row(box: Box) -> str:
    sides = "everywhere" if box.targets == ALL_SIDES else ", ".join(sorted(box.targets))
    marks = [*(["production"] if box.production else []), *([] if box.weight == "required" else ["advised"])]
    where = sides + "".join(f"; *{mark}*" for mark in marks)
    return f"| **`{box.name}`** | {_cell(box.asks)} | {where} | {_cell(box.fix)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
