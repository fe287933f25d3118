"""What people read: the incident document, always as the timeline says, and the post-mortem, laid out here, written by them."""

import re
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from ops.errors import OperationError
from ops.incident.timeline import POST_MORTEM, POST_MORTEM_DUE, Incident, Kind

INCIDENT: Final = "incident.md"
UNWRITTEN: Final = "(to be written)"
HEADINGS: Final = ("## Summary", "## Impact", "## Causes", "## Detection", "## Actions", "## Timeline (UTC)")
_MARKUP: Final = re.compile(r"([\\`*_\[\]<>|#])")


def incident_document(incident: Incident) -> str:
    """The incident as one page of Markdown."""
    return _rendered(INCIDENT, incident)


def write(incident: Incident) -> Path:
    """Write the page anew beside the timeline; returns its path."""
    path = incident.folder / INCIDENT
    beside = path.with_suffix(".new")
    beside.write_text(incident_document(incident), encoding="utf-8")
    beside.replace(path)
    return path


def begin_post_mortem(incident: Incident) -> Path:
    """Lay the post-mortem out, unless somebody has begun it; returns its path."""
    path = incident.folder / POST_MORTEM
    if not path.exists():
        path.write_text(_rendered(POST_MORTEM, incident), encoding="utf-8")
    return path


def require_written(path: Path) -> None:
    """Raises OperationError while the post-mortem is missing, lacks a heading or still says that something is to be written."""
    if not path.exists():
        raise OperationError(f"{path} is not there. `lumiere incident end` lays it out.")
    text = path.read_text(encoding="utf-8")
    lacking = [heading.removeprefix("## ") for heading in HEADINGS if heading not in text.splitlines()]
    if lacking:
        raise OperationError(f"{path} has no part {', '.join(lacking)}.")
    left = [
        str(number) for number, line in enumerate(text.splitlines(), start=1) if UNWRITTEN in line and "Replace" not in line
    ]
    if left:
        raise OperationError(f"{path} is not written yet: “{UNWRITTEN}” still stands in line {', '.join(left)}.")


def _rendered(name: str, incident: Incident) -> str:
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701 - Markdown
    environment.filters |= {"moment": _moment, "literal": _literal}
    template = environment.from_string((resources.files("ops.incident") / "templates" / name).read_text(encoding="utf-8"))
    notes = incident.of(Kind.NOTE)
    ended = incident.ended_at
    return template.render(
        incident=incident,
        impact=[each for each in notes if each.details.get("about") == "impact"],
        mitigation=[each for each in notes if each.details.get("about") == "mitigation"],
        duration=_duration(ended - incident.started_at) if ended else "",
        due=ended + POST_MORTEM_DUE if ended else None,
    )


def _moment(value: Any) -> str:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).strftime("%Y-%m-%d %H:%M:%S")


def _duration(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _literal(text: Any) -> str:
    """Words of people in Markdown: on one line, and obeyed as no markup."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))
