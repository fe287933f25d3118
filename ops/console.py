"""What people see: progress on standard error, results on standard output, so that `--json` stays clean."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


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
    out.file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    out.file.flush()


def print_json_line(value: Any) -> None:
    """One JSON document in one line on standard output, for commands that go on."""
    out.file.write(json.dumps(value, ensure_ascii=False) + "\n")
    out.file.flush()
