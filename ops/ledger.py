"""`lumiere ledger`: how the transparency log stands, and how it goes on after its database was restored."""

import json
from typing import Any

import click

from ops import console
from ops.command_line import json_option, this_platform, told
from ops.console import literal, out
from ops.environment import LOG_KEY_FILE
from ops.errors import OperationError
from ops.lifecycle import Platform, run_module
from ops.plan import Plan
from ops.vault import Vault
from services.ledger.domain.notes import NoteSigner, SigningKeyError


@click.group(name="ledger")
def group() -> None:
    """The transparency log: how it stands, and how it goes on after a restore."""


@group.command()
@json_option
@told
def status(as_json: bool) -> None:
    """Whether the log signs, and what it waits for. Exit code 1 while it waits for an operator's word."""
    standing = json.loads(this_platform().ask("ledger", "standing"))
    if as_json:
        console.print_json(standing)
    else:
        _tell(standing)
    raise SystemExit(0 if standing["may_sign"] else 1)


@group.command()
@click.option(
    "--statement", required=True, help="What happened: it becomes a leaf of the log that everybody can read, for good."
)
@click.option(
    "--new-name",
    metavar="NAME",
    help="Go on as a log of this name, with a new key: needed where leaves are lost that the log had signed.",
)
@json_option
@told
def resume(statement: str, new_name: str | None, as_json: bool) -> None:
    """Let the log sign again after its database was restored."""
    platform = this_platform()
    before = json.loads(platform.ask("ledger", "standing"))
    if before["may_sign"]:
        raise OperationError("The log signs: it waits for nobody's word.")
    if new_name is not None:
        rename(platform, new_name, before)
    standing = json.loads(run_module(Plan(platform.layout), "ledger", "resume", given=statement))
    # Its name stands in the environment of its processes: those that have the old one sign nothing.
    platform.up()
    if as_json:
        console.print_json(standing)
    else:
        _tell(standing)


def rename(platform: Platform, name: str, standing: dict[str, Any]) -> None:
    """Give the log a new name and key. The old verifier key stays beside the new one: it verifies what was signed before."""
    vault = Vault(platform.layout.secrets)
    try:
        signer = NoteSigner.generate(name)
    except SigningKeyError as error:
        raise OperationError(f"{name} cannot be a log's name: {error}.") from None
    old = NoteSigner.parse(vault.path("LOG_SIGNING_KEY").read_text(encoding="utf-8"))
    signed = {each["published"]["origin"] for each in standing["restorations"] if each["published"]}
    if name in signed or (standing["own"] and standing["own"]["origin"] == name):
        raise OperationError(f"The log has signed as {name} before: nothing newer may be signed under it. Choose another name.")
    if old.name == name:
        return
    kept = platform.layout.state / f"{old.key_id.hex()}.{LOG_KEY_FILE}"
    kept.write_text(f"{old.verifier_key}\n", encoding="utf-8")
    vault.write("LOG_ORIGIN", name)
    vault.write("LOG_SIGNING_KEY", signer.private_key)


def _tell(standing: dict[str, Any]) -> None:
    own = standing["own"]
    leaves = f"{own['size']:,} leaves" if own else "no leaf yet"
    out.print(f"{literal(standing['name'])}: {leaves}, [{'green]signs' if standing['may_sign'] else 'red]signs nothing'}[/]")
    for each in standing["restorations"]:
        published = each["published"]
        word = f"went on as {literal(each['resumed_as'])}" if each["resumed_as"] else "[red]waits for your word[/]"
        out.print(
            f"  restored {each['restored_at']} from {literal(each['source'])} with {each['own']['size']:,} leaves: {word}"
        )
        if published and published["size"] > each["own"]["size"]:
            out.print(f"    {literal(published['origin'])} had signed {published['size']:,}: what is beyond is lost")
    if not standing["may_sign"]:
        out.print(_advice(standing))


def _advice(standing: dict[str, Any]) -> str:
    waiting = [each for each in standing["restorations"] if each["resumed_as"] is None]
    own = standing["own"]["size"] if standing["own"] else 0
    known = [each["published"] for each in waiting if each["published"]]
    if any(each["origin"] == standing["name"] and each["size"] > own for each in known):
        return 'Leaves are lost that were signed. [bold]lumiere ledger resume --new-name NAME --statement "…"[/]'
    if waiting:
        return 'No loss is known. If nobody has a newer checkpoint: [bold]lumiere ledger resume --statement "…"[/]'
    return "It went on under another name than the one in LOG_ORIGIN: bring that log's key."
