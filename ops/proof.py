"""Verifies proofs of the transparency log offline, with nothing but the file and the log's verifier key.

This one file stands alone on purpose: it shares no code with the service that makes the proofs, so that an error there
cannot hide here. It needs `cryptography`, `click` and `rich`. The formats are those of https://c2sp.org/signed-note,
https://c2sp.org/tlog-checkpoint and https://c2sp.org/tlog-proof; the algorithms those of RFC 9162 sections 2.1.3.2 and 2.1.4.2.
Whatever has a second spelling (base64 with stray bits, numbers with leading zeroes) is refused: one proof, one file.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.table import Table

FILE_BYTES_MAX = 524_288
SIGNATURES_MAX = 64
HASHES_MAX = 63
KEY_FILE = Path(".local") / "log.vkey"

REFUSED = 1

_FORMAT = "c2sp.org/tlog-proof@v1"
_HASH_BYTES = 32
_KEY_ID_BYTES = 4
_ED25519 = b"\x01"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNATURE = re.compile(r"— (\S+) (\S+)")
_REQUIRED = ("id", "source", "type", "time")


class Refused(Exception):
    """The proof does not hold; the message says where."""


class UnusableKey(Exception):
    """The verifier key cannot be used."""


@dataclass(frozen=True)
class VerifierKey:
    """A log's public key as `<name>+<key id>+<base64>`."""

    name: str
    key_id: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises UnusableKey."""
        try:
            name, key_id, encoded = text.split("+", 2)
            material = _base64(encoded)
        except (ValueError, Refused):
            raise UnusableKey("A verifier key has the form <name>+<key id>+<base64>.") from None
        if not name or any(character.isspace() or not character.isprintable() for character in name):
            raise UnusableKey("The name in the verifier key is not allowed.")
        if material[:1] != _ED25519 or len(material) != 1 + _HASH_BYTES:
            raise UnusableKey("The verifier key is not an Ed25519 key.")
        if sha256(name.encode() + b"\n" + material).digest()[:_KEY_ID_BYTES].hex() != key_id:
            raise UnusableKey("The key id does not belong to this name and key: a character is wrong or missing.")
        return cls(name, key_id, material[1:])


@dataclass(frozen=True)
class Checkpoint:
    """What the log has signed: its name, how many leaves it had and the root over them."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class Proof:
    """The parts of a proof file, before any of them is believed."""

    leaf: bytes
    index: int
    hashes: list[bytes]
    note: str


@dataclass(frozen=True)
class Proved:
    """What a verified proof says."""

    type: str
    id: str
    time: str
    source: str
    subject: str
    data: str
    index: int
    size: int
    origin: str
    root: str


def verify(content: bytes, key: VerifierKey) -> Proved:
    """Check a proof file from the signature down to the leaf. Raises Refused."""
    proof = parse_proof(_text(content))
    checkpoint = open_checkpoint(proof.note, key)
    if not inclusion_holds(proof.index, checkpoint.size, sha256(b"\x00" + proof.leaf).digest(), proof.hashes, checkpoint.root):
        raise Refused("The leaf does not lead to the signed root: the event, its index or a hash was changed.")
    event = read_event(proof.leaf)
    return Proved(
        **{name: event[name] for name in _REQUIRED},
        subject=event.get("subject", ""),
        data="whole" if "data" in event else "digest only",
        index=proof.index,
        size=checkpoint.size,
        origin=checkpoint.origin,
        root=b64encode(checkpoint.root).decode(),
    )


def verify_consistency(first: bytes, second: bytes, answer: bytes, key: VerifierKey) -> tuple[Checkpoint, Checkpoint]:
    """Check that the second log begins with the first; `answer` is what `/proofs/consistency` gave. Raises Refused."""
    old, new = open_checkpoint(_text(first), key), open_checkpoint(_text(second), key)
    document = _json_object(answer)
    if (document.get("first"), document.get("second")) != (old.size, new.size):
        raise Refused("The consistency proof is for other tree sizes than those of the two checkpoints.")
    hashes = document.get("hashes")
    if not isinstance(hashes, list) or not all(isinstance(each, str) for each in hashes):
        raise Refused("The consistency proof has no list of hashes.")
    if not consistency_holds(old, new, [_hash(each) for each in hashes]):
        raise Refused("The second checkpoint does not continue the first: the log was rewritten in between.")
    return old, new


def parse_proof(text: str) -> Proof:
    """Take a proof file apart. Raises Refused."""
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != _FORMAT:
        raise Refused(f"This is not a proof file: its first line must be {_FORMAT}.")
    if not lines or not lines[0].startswith("extra "):
        raise Refused("The proof carries no leaf in an `extra` line, so there is nothing to compare.")
    leaf = _base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise Refused("The proof has no `index` line.")
    index = _number(lines.pop(0).removeprefix("index "))
    if len(lines) > HASHES_MAX:
        raise Refused("The proof has more hashes than any tree is high.")
    return Proof(leaf, index, [_hash(line) for line in lines], note)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a signed note, believed because `key` signed it under the log's own name. Raises Refused."""
    lines = _signed_text(note, key).removesuffix("\n").split("\n")
    if len(lines) < 3 or "" in lines:
        raise Refused("The checkpoint must have three lines: origin, tree size, root hash.")
    checkpoint = Checkpoint(lines[0], _number(lines[1]), _hash(lines[2]))
    if checkpoint.origin != key.name:
        raise Refused("The checkpoint is of another log than the key.")
    return checkpoint


def _signed_text(note: str, key: VerifierKey) -> str:
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise Refused("The checkpoint is not a signed note.")
    text += "\n"
    lines = signatures.removesuffix("\n").split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Refused("The checkpoint has too many signatures.")
    # Signatures by keys that are not known are no business of ours; one by the known key must hold.
    verified = [_holds(line, text, key) for line in lines]
    if True not in verified:
        raise Refused("The checkpoint is not signed by this key.")
    return text


def _holds(line: str, text: str, key: VerifierKey) -> bool | None:
    """True when the known key signed, None when another did. Raises Refused."""
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise Refused("The checkpoint has a line that is no signature.")
    name, encoded = match.groups()
    material = _base64(encoded)
    if len(material) <= _KEY_ID_BYTES:
        raise Refused("The checkpoint has a signature that is too short.")
    if (name, material[:_KEY_ID_BYTES].hex()) != (key.name, key.key_id):
        return None
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(material[_KEY_ID_BYTES:], text.encode())
    except (InvalidSignature, ValueError):
        raise Refused("The log's signature does not hold: the checkpoint was changed.") from None
    return True


def inclusion_holds(index: int, size: int, leaf_hash: bytes, hashes: list[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if index >= size or any(len(each) != _HASH_BYTES for each in (leaf_hash, root, *hashes)):
        return False
    position, last, computed = index, size - 1, leaf_hash
    for sibling in hashes:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = _node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = _node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root


def consistency_holds(old: Checkpoint, new: Checkpoint, hashes: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2; two trees of one size must be one tree. Of an empty tree nothing is to be proved."""
    if old.size == new.size > 0:
        return not hashes and old.root == new.root
    if not 0 < old.size < new.size or not hashes:
        return False
    path = [old.root, *hashes] if old.size & (old.size - 1) == 0 else hashes
    position, last = old.size - 1, new.size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first_root = second_root = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first_root, second_root = _node_hash(sibling, first_root), _node_hash(sibling, second_root)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second_root = _node_hash(second_root, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first_root == old.root and second_root == new.root


def read_event(leaf: bytes) -> dict[str, Any]:
    """The event that a proved leaf tells of. Raises Refused when it is none, or can be read in two ways."""
    event = _json_object(leaf)
    texts = [event.get(name) for name in _REQUIRED] + [event.get("subject", "")]
    is_event = event.get("specversion") == "1.0" and all(isinstance(each, str) for each in texts)
    if not is_event or ("data" in event) == ("datasha256" in event):
        raise Refused("The leaf is in the log, but it is not an event in its whole or its digest form.")
    return event


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise Refused("The content is not unambiguous JSON.") from None
    if not isinstance(document, dict):
        raise Refused("The content is not a JSON object.")
    return document


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _text(content: bytes) -> str:
    text = content.decode(errors="replace")
    if text.encode() != content or any(character < " " and character != "\n" for character in text):
        raise Refused("The file is not UTF-8 text, or has control characters other than line ends.")
    return text


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise Refused("A number must be decimal, without leading zeroes.")
    return int(text)


def _hash(text: str) -> bytes:
    value = _base64(text)
    if len(value) != _HASH_BYTES:
        raise Refused(f"A hash must have {_HASH_BYTES} bytes.")
    return value


def _base64(text: str) -> bytes:
    try:
        value = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("A value is not base64.") from None
    if b64encode(value).decode() != text:
        raise Refused("A value is not base64 in its only spelling.")
    return value


@click.group("proof")
def command() -> None:
    """Verify proofs of the transparency log, offline."""


_key_option = click.option(
    "--key",
    "given",
    envvar="LUMIERE_LOG_KEY",
    metavar="KEY|FILE",
    help=f"The log's verifier key, or a file that holds it. Default: {KEY_FILE}, which the local platform writes.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@command.command("verify")
@click.argument("file", type=_file)
@_key_option
@click.option("--event", "event_id", metavar="ID", help="Refuse unless the proof is of this event.")
@_json_option
def verify_command(file: Path, given: str | None, event_id: str | None, *, as_json: bool) -> None:
    """Verify the proof FILE of one event. Exit status: 0 proved, 1 refused, 2 no verdict (a wrong key, no such file)."""

    def check(key: VerifierKey) -> dict[str, Any]:
        proved = verify(_read(file), key)
        if event_id not in (None, proved.id):
            raise Refused(f"The proof holds, but for another event: {proved.id}.")
        return asdict(proved)

    _run(check, given, title="Proved: the event is in the log", as_json=as_json)


@command.command("consistency")
@click.argument("first", type=_file)
@click.argument("second", type=_file)
@click.argument("proof", type=_file)
@_key_option
@_json_option
def consistency_command(first: Path, second: Path, proof: Path, given: str | None, *, as_json: bool) -> None:
    """Verify that the checkpoint SECOND continues the checkpoint FIRST, by the consistency PROOF that the log gave."""

    def check(key: VerifierKey) -> dict[str, Any]:
        old, new = verify_consistency(_read(first), _read(second), _read(proof), key)
        return {"origin": new.origin, "first_size": old.size, "second_size": new.size, "root": b64encode(new.root).decode()}

    _run(check, given, title="Proved: the log was only added to", as_json=as_json)


def _run(check: Callable[[VerifierKey], dict[str, Any]], given: str | None, *, title: str, as_json: bool) -> None:
    key, source = _find_key(given)
    try:
        proved = check(key)
    except Refused as refusal:
        if as_json:
            click.echo(json.dumps({"verified": False, "reason": str(refusal)}))
        else:
            click.echo(f"REFUSED. {_printable(str(refusal))}", err=True)
        raise SystemExit(REFUSED) from None
    proved |= {"key": f"{key.name}+{key.key_id}", "key_from": source}
    if as_json:
        click.echo(json.dumps({"verified": True, **proved}))
        return
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in proved.items():
        table.add_row(name.replace("_", " "), _printable(str(value)))
    Console(markup=False, highlight=False).print(table)


def _find_key(given: str | None) -> tuple[VerifierKey, str]:
    """The key to trust and where it came from. A wrong key ends the command as unusable, before the proof is looked at."""
    try:
        if given and "+" in given and not Path(given).is_file():
            return VerifierKey.parse(given), "given"
        path, origin = (Path(given), given) if given else (KEY_FILE, f"{KEY_FILE} (written by the platform on this machine)")
        return VerifierKey.parse(_read(path).decode().strip()), origin
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}. Give the log's verifier key with --key.") from None
    except (UnusableKey, UnicodeDecodeError, Refused) as error:
        raise click.UsageError(_printable(str(error))) from None


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise Refused(f"{path.name} has more than {FILE_BYTES_MAX} bytes; no proof is that long.")
    return content


def _printable(text: str) -> str:
    """What came from a file must not steer the terminal."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)
