"""What is known to have been published of the transparency log: a chain of checkpoints, each shown to continue the one before.

It stands outside the database on purpose. A database that comes back from a backup has forgotten what the log has signed since;
the witness has not, and so a restored platform can prove what it lost, and cannot tell a second history without being told.
"""

import json
import os
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ops.errors import OperationError
from ops.proof import Checkpoint, Refused, VerifierKey, consistency_holds, open_checkpoint

NAME: Final = "witness.jsonl"


class WitnessRefused(OperationError):
    """A checkpoint does not continue what was witnessed before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One witnessed checkpoint."""

    note: str
    head: Checkpoint
    noted_at: datetime
    proof: tuple[bytes, ...]
    """That it continues the one before it in the chain."""


def head_of(note: str) -> Checkpoint:
    """What a checkpoint says, whoever signed it. Raises WitnessRefused."""
    try:
        origin, size, root = note.split("\n", 3)[:3]
        return Checkpoint(origin, int(size), b64decode(root, validate=True))
    except ValueError:
        raise WitnessRefused("This is not a checkpoint of a log.") from None


def chain(folder: Path) -> list[Seen]:
    """Every witnessed checkpoint, oldest first, each checked to continue its log's one before. Raises WitnessRefused.

    Another log is one of another name, which begins where the ledger's statement says; in between it hides nothing.
    """
    path = folder / NAME
    found: list[Seen] = []
    last: dict[str, Checkpoint] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        given = json.loads(line)
        proof = tuple(b64decode(each) for each in given["proof"])
        seen = Seen(given["note"], head_of(given["note"]), datetime.fromisoformat(given["noted_at"]), proof)
        if known := last.get(seen.head.origin):
            _require_continuation(known, seen.head, proof)
        last[seen.head.origin] = seen.head
        found.append(seen)
    return found


def note_checkpoint(folder: Path, note: str, proof: tuple[str, ...], now: datetime) -> bool:
    """Add a checkpoint to the chain; `proof` shows that it continues the last one of its log. Returns whether it is new.

    Raises WitnessRefused when it does not: the log was rewritten, or a database from a backup runs under the log's name.
    """
    head = head_of(note)
    if known := newest(folder, head.origin):
        if known.head == head:
            return False
        _require_continuation(known.head, head, tuple(b64decode(each) for each in proof))
    line = json.dumps({"noted_at": now.isoformat(timespec="seconds"), "note": note, "proof": list(proof)})
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def newest(folder: Path, origin: str) -> Seen | None:
    """The newest witnessed checkpoint of the log of this name. Raises WitnessRefused when the chain does not hold."""
    return newest_of_each(chain(folder)).get(origin)


def newest_of_each(seen: Iterable[Seen]) -> dict[str, Seen]:
    """The largest witnessed checkpoint of each log, by the log's name."""
    found: dict[str, Seen] = {}
    for each in seen:
        if each.head.origin not in found or found[each.head.origin].head.size <= each.head.size:
            found[each.head.origin] = each
    return found


def continues(folder: Path, own: Checkpoint) -> bool:
    """Whether the chain itself shows that the last witnessed log began with this tree."""
    return any((seen.head.size, seen.head.root) == (own.size, own.root) for seen in chain(folder))


def judged(note: str, key: VerifierKey | None) -> Checkpoint:
    """What a checkpoint says; its signature is checked where the key that is known is of the log that it names.

    Raises WitnessRefused.
    """
    ours = key is not None and note.startswith(f"{key.name}\n")
    return verified(note, key) if key is not None and ours else head_of(note)


def verified(note: str, key: VerifierKey) -> Checkpoint:
    """What a checkpoint says, believed because the log's key signed it. Raises WitnessRefused."""
    try:
        return open_checkpoint(note, key)
    except Refused as refusal:
        raise WitnessRefused(f"The checkpoint is not one of this log: {refusal}") from None


def _require_continuation(old: Checkpoint, new: Checkpoint, proof: tuple[bytes, ...]) -> None:
    if new.size < old.size:
        raise WitnessRefused(
            f"The log has {new.size} leaves, and {old.size} were signed before: its database came from a backup. "
            "`lumiere ledger status` tells how it stands; nothing newer may be signed under its name."
        )
    if old.size == 0:
        return
    same = new.size == old.size and new.root == old.root
    if not same and not consistency_holds(old, new, list(proof)):
        raise WitnessRefused(
            f"The log of {new.size} leaves does not begin with the {old.size} that were signed before: it was rewritten. "
            "Keep both checkpoints: together they are the evidence (docs/proofs.md)."
        )
