"""`maintenance`, `revoke` and `withdraw-key`: an operator's words to one gateway, with auth, broker and control process down.

The same commands answer to `python -m gateway` in the gateway's container and to `lumiere gateway` on a machine of its own.
"""

import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import click

from gateway.command_line import Place, json_option
from gateway.containment import Containment, map_of
from gateway.haproxy import HaproxyAway, HaproxyError
from gateway.limits import MAINTENANCE_REASON_MAX
from gateway.maintenance import AUTH, MAINTENANCE_FILE, OPERATOR, SCOPE, Word
from gateway.revocations import KEY_ID, KEYS_FILE, SESSIONS_FILE, SUBJECTS_FILE

BEHIND = 1
"""Exit code: HAProxy runs and does something else than what is on disk."""
KEPT_ONLY = 3
"""Exit code: it is on disk, but no HAProxy runs that could obey; the next start does."""

STATUS = "status"


@click.command()
@click.argument("word", type=click.Choice([*(each.value for each in Word), STATUS]))
@click.option("--reason", help="Why, in words for colleagues; nobody outside sees it.")
@json_option
@click.pass_obj
def maintenance(place: Place, word: str, reason: str | None, as_json: bool) -> None:
    """Shut this gateway's door (on), keep it open (off), or leave that to auth's flag (follow); status tells both words.

    `on` and `off` count before auth's flag until `follow`. What is open meanwhile stands in docs/roles.md.
    """
    if reason is not None and not (0 < len(reason) <= MAINTENANCE_REASON_MAX and reason.isprintable()):
        raise click.UsageError(f"--reason takes one line of 1 to {MAINTENANCE_REASON_MAX} characters.")
    if reason is not None and word not in {Word.ON, Word.OFF}:
        raise click.UsageError(f"{word} takes no reason.")
    containment = Containment(place())
    if word != STATUS:
        _obeyed(
            containment,
            lambda: containment.hear_operator(Word(word), reason, _operator()),
            f"maintenance {word}",
            reason=reason,
        )
    known = containment.maintenance.document()
    enforced = _enforced(containment, MAINTENANCE_FILE)
    answer = {**known, "enforced": None if enforced is None else SCOPE in enforced}
    _tell(answer, [_sentence(answer), *(_word(name, known[name]) for name in (OPERATOR, AUTH))], as_json, known["enabled"])


@click.command()
@click.option("--session", type=click.UUID, help="The session whose tokens are refused from now on: `sid` of its tokens.")
@click.option("--subject", type=click.UUID, help="The person whose tokens are refused that were issued until now: `sub`.")
@json_option
@click.pass_obj
def revoke(place: Place, session: UUID | None, subject: UUID | None, as_json: bool) -> None:
    """Refuse the tokens of a session, or all that a person holds now, at this gateway.

    A person whose refresh token lives gets new tokens from auth: suspend the account there as soon as auth is back.
    """
    containment = Containment(place())
    match session, subject:
        case UUID() as key, None:
            kind, file, act = "session", SESSIONS_FILE, partial(containment.revoke_session, key)
        case None, UUID() as key:
            kind, file, act = "subject", SUBJECTS_FILE, partial(containment.revoke_subject, key)
        case _:
            raise click.UsageError("Name either --session ID or --subject ID.")
    _obeyed(containment, act, f"revoke {kind}", **{kind: str(key)})
    enforced = _enforced(containment, file)
    answer = {kind: str(key), "revoked": True, "enforced": None if enforced is None else str(key) in enforced}
    _tell(answer, [f"Tokens of {kind} {key} are refused here."], as_json)


@click.command(name="withdraw-key")
@click.argument("key_id")
@click.option("--undo", is_flag=True, help="Trust the key again as far as auth's key set names it.")
@json_option
@click.pass_obj
def withdraw_key(place: Place, key_id: str, undo: bool, as_json: bool) -> None:
    """Refuse every token signed under a key, at this gateway, whatever auth's key set says."""
    if not KEY_ID.fullmatch(key_id):
        raise click.UsageError("KEY_ID is the `kid` of a key, as /.well-known/jwks.json lists it.")
    containment = Containment(place())
    act = partial(containment.restore_key if undo else containment.withdraw_key, key_id)
    _obeyed(containment, act, "restore key" if undo else "withdraw key", key_id=key_id)
    enforced = _enforced(containment, KEYS_FILE)
    answer = {"key_id": key_id, "withdrawn": not undo, "enforced": None if enforced is None else (key_id in enforced) != undo}
    _tell(answer, [f"Key {key_id} is {'left to auth' if undo else 'withdrawn here'}."], as_json)


COMMANDS: Mapping[str, click.Command] = {str(each.name): each for each in (maintenance, revoke, withdraw_key)}


def _operator() -> str:
    """Who runs this, as the system knows them; through sudo it is root, and sudo's own log says who that was."""
    user = os.getuid()
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return f"uid {user}"


def _obeyed(containment: Containment, act: Callable[[], object], said: str, **details: str | None) -> None:
    """Do it and note it. What HAProxy refuses is on disk by then, and what cannot be written HAProxy has."""
    try:
        try:
            act()
        finally:
            containment.note(_operator(), said, **details)
    except HaproxyError as error:
        raise click.ClickException(f"It holds from the next start, but the running HAProxy refused: {error}") from None
    except OSError as error:
        raise click.ClickException(
            f"The running HAProxy obeys, but nothing can be written to disk ({error.strerror}): a restart forgets it."
        ) from None


def _enforced(containment: Containment, file: str) -> dict[str, str] | None:
    """What the running HAProxy has; None when none runs."""
    try:
        return containment.haproxy.entries(map_of(file))
    except HaproxyAway:
        return None
    except HaproxyError as error:
        raise click.ClickException(str(error)) from None


def _tell(answer: Mapping[str, Any], lines: list[str], as_json: bool, wanted: bool = True) -> None:
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        for line in lines:
            click.echo(line)
    if answer["enforced"] is None:
        click.echo("No HAProxy runs here: it is on disk and holds from the next start.", err=True)
        sys.exit(KEPT_ONLY)
    if answer["enforced"] != wanted:
        click.echo("The running HAProxy does not do so yet: the control process pushes it, or a restart.", err=True)
        sys.exit(BEHIND)


def _sentence(answer: Mapping[str, Any]) -> str:
    return (
        f"The door is {'to be ' if answer['enforced'] != answer['enabled'] else ''}{'shut' if answer['enabled'] else 'open'}."
    )


def _word(name: str, said: Mapping[str, Any] | None) -> str:
    if said is None:
        return f"  {name}: nothing"
    who = f" by {said['changed_by']}" if said["changed_by"] else ""
    since = f" since {said['changed_at']}" if said["changed_at"] else ""
    reason = f": {said['reason']}" if said["reason"] else ""
    return f"  {name}: {'on' if said['enabled'] else 'off'}{since}{who}{reason}"
