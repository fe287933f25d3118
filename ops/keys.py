"""`lumiere keys`: the keys that access tokens are signed with."""

import json
from typing import Any

import click
from rich.table import Table

from ops import console
from ops.command_line import json_option, this_platform, told
from ops.console import out


@click.group(name="keys")
def group() -> None:
    """The keys that access tokens are signed with."""


@group.command(name="list")
@json_option
@told
def list_keys(as_json: bool) -> None:
    """Every key that was ever made, and what it is good for now."""
    _report(_asked("list"), as_json)


@group.command()
@json_option
@told
def rotate(as_json: bool) -> None:
    """Let the next key sign now. Nobody notices: everybody knows it already, and tokens of the old key live out their time."""
    _report(_asked("rotate"), as_json)


@group.command()
@click.argument("key_id")
@json_option
@told
def withdraw(key_id: str, as_json: bool) -> None:
    """In an emergency: every token signed with KEY_ID is refused everywhere within a second, and for good.

    When it is the key that signs, the next one takes over at once; people with tokens of the old one refresh them.
    """
    _report(_asked("withdraw", key_id), as_json)


def _asked(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(this_platform().ask("auth", "keys", *arguments, "--json"))
    return answer


def _report(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.print_json(answer)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("KEY", "STATE", "PUBLISHED", "ACTIVE SINCE", "RETIRED", "WITHDRAWN"):
        table.add_column(title, no_wrap=True)
    moments = ("published_at", "activated_at", "retired_at", "withdrawn_at")
    for key in answer["keys"]:
        table.add_row(key["id"], key["state"], *(key[name] or "" for name in moments))
    out.print(table)
