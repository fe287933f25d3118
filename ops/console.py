"""What people see: progress on standard error, results on standard output, so that `--json` stays clean."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

# What a terminal obeys or reorders instead of showing it. Events, reasons and broken messages are written by others.
_OBEYED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def literal(text: object, *, lines: bool = False) -> str:
    """Text of others for our output: obeyed neither as markup nor by the terminal; `lines` keeps its line breaks."""
    kept = "\n\t" if lines else ""
    return escape(_OBEYED.sub(lambda found: found[0] if found[0] in kept else repr(found[0])[1:-1], str(text)))


@contextmanager
def step(title: str, *, quiet_below: float = 0.0) -> Iterator[None]:
    """Show that something is under way, then that it is done and how long it took."""
    begun = monotonic()
    with err.status(f"{title} …") if err.is_terminal else _announced(title):
        yield
    took = monotonic() - begun
    if took >= quiet_below:
        err.print(f"[green]✓[/] {title} [dim]{took:.1f} s[/]")


@contextmanager
def _announced(title: str) -> Iterator[None]:
    err.print(f"[dim]… {title}[/]")
    yield


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    out.file.write(_json(value, indent=2) + "\n")
    out.file.flush()


def print_json_line(value: Any) -> None:
    """One JSON document in one line on standard output, for commands that go on."""
    out.file.write(_json(value) + "\n")
    out.file.flush()


def show_json(value: Any) -> None:
    """A document for the eye."""
    out.print(JSONHighlighter()(_json(value, indent=2)))


def _json(value: Any, indent: int | None = None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _OBEYED.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)
