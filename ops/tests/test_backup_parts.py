"""The parts of a backup: what is damaged, foreign or cut short is refused, and nothing half made stays."""

import io
import tarfile
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest

from ops.age import Damaged, WrongKey, decrypted, encrypted, identities_of, new_identity, recipients_of
from ops.backup import making, snapshot, witness
from ops.backup.archive import Writer, reading
from ops.backup.manifest import Keys, Log, Manifest
from ops.backup.place import this_place
from ops.backup.record import Backup, Record
from ops.backup.witness import WitnessRefused
from ops.errors import OperationError
from ops.layout import Layout
from ops.settings import PlatformSettings
from ops.tests.small_log import KEY, OTHER_SIGNER, SIGNER, log
from services.ledger.domain.notes import NoteSigner, checkpoint_text

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CONTENT = bytes(range(256)) * 2_000
CHUNK = 65_536
"""What age authenticates at a time: a file that is cut between two chunks is cut short all the same."""


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def sealed(tmp_path: Path, identity: pyrage.x25519.Identity) -> Path:
    path = tmp_path / "backup.age"
    with encrypted(path, [identity.to_public()]) as (stream, written):
        stream.write(CONTENT)
    assert written.bytes == path.stat().st_size
    return path


def read(path: Path, identity: pyrage.x25519.Identity) -> bytes:
    with decrypted(path, [identity]) as stream:
        return stream.read()


def test_what_was_encrypted_comes_back(sealed: Path, identity: pyrage.x25519.Identity) -> None:
    assert read(sealed, identity) == CONTENT
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert CONTENT[:1_000] not in sealed.read_bytes()


def test_another_key_opens_nothing_and_is_named_as_the_reason(sealed: Path) -> None:
    with pytest.raises(WrongKey, match="--identity"):
        read(sealed, pyrage.x25519.Identity.generate())


@pytest.mark.parametrize("kept", [-1, -CHUNK, CHUNK, 400, 10, 0])
def test_a_file_that_was_cut_short_is_damaged(sealed: Path, identity: pyrage.x25519.Identity, kept: int) -> None:
    sealed.write_bytes(sealed.read_bytes()[:kept])

    with pytest.raises(Damaged):
        read(sealed, identity)


@pytest.mark.parametrize("place", [30, 300, 100_000, -1])
def test_a_file_of_which_a_byte_was_changed_is_damaged(sealed: Path, identity: pyrage.x25519.Identity, place: int) -> None:
    content = bytearray(sealed.read_bytes())
    content[place] ^= 1
    sealed.write_bytes(content)

    with pytest.raises((Damaged, WrongKey)):
        read(sealed, identity)


def test_a_failure_on_the_way_leaves_no_file(tmp_path: Path, identity: pyrage.x25519.Identity) -> None:
    with pytest.raises(LookupError), encrypted(tmp_path / "backup.age", [identity.to_public()]) as (stream, _):
        stream.write(CONTENT)
        raise LookupError

    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_told(tmp_path: Path, identity: pyrage.x25519.Identity) -> None:
    (tmp_path / ".full.age.partial").symlink_to("/dev/full")

    with (
        pytest.raises(OperationError, match="No space left"),
        encrypted(tmp_path / "full.age", [identity.to_public()]) as (s, _),
    ):
        for _ in range(100):
            s.write(CONTENT)


def test_keys_are_read_as_age_writes_them(tmp_path: Path) -> None:
    private, public = new_identity()
    (tmp_path / "key").write_text(f"# created: today\n# public key: {public}\n{private}\n", encoding="ascii")

    assert str(identities_of(tmp_path / "key")[0]) == private
    assert [str(each) for each in recipients_of(f"# the safe\n{public}\n\n")] == [public]


@pytest.mark.parametrize("text", ["", "# nobody\n", "age1nonsense", "ssh-rsa nonsense"])
def test_who_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(OperationError):
        recipients_of(text)


def test_a_private_key_is_never_shown(tmp_path: Path) -> None:
    private, _ = new_identity()
    (tmp_path / "key").write_text(f"{private}X\n", encoding="ascii")

    with pytest.raises(OperationError) as caught:
        identities_of(tmp_path / "key")

    assert private not in str(caught.value) + repr(caught.value.__cause__)


def test_a_name_that_leads_out_of_the_folder_is_refused() -> None:
    for name in (
        "files/../../etc/passwd",
        "/etc/passwd",
        "files//etc/passwd",
        "files/./x",
        "secrets/AUTH_SECRET",
        "database/../manifest.json",
    ):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w|") as tar:
            tar.addfile(tarfile.TarInfo(name))
        stream.seek(0)

        with pytest.raises(Damaged, match="no backup of ours"), reading(stream) as parts:
            list(parts)


def test_a_dump_of_unknown_length_is_cut_into_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.backup.archive.PART_BYTES", 100)
    stream = io.BytesIO()
    writer = Writer(stream)
    assert writer.database(io.BytesIO(CONTENT[:250])) == 250
    writer.close(
        Manifest(name="n", created_at=NOW, postgres="15", tables={}, storage="elsewhere", files={}, log=Log(), keys=Keys())
    )
    stream.seek(0)

    with reading(stream) as parts:
        found = [(part.name, part.content.read()) for part in parts]

    assert b"".join(content for name, content in found if name.startswith("database/")) == CONTENT[:250]
    assert [name for name, _ in found] == ["database/00000000", "database/00000001", "database/00000002", "manifest.json"]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("postgresql://u:p@one:5432,two:5433/x?target_session_attrs=read-write", "one,two", "5432,5433"),
        ("postgresql://u:p@/x?host=/run/postgresql", "/run/postgresql", None),
        ("postgresql://u:p@one/x", "one", None),
    ],
)
def test_postgres_programs_are_led_to_the_servers_of_the_address_and_no_other(
    address: str, host: str, port: str | None
) -> None:
    told = snapshot._environment(snapshot.with_database(address, "y"))

    assert (told["PGHOST"], told.get("PGPORT"), told["PGDATABASE"], told["PGPASSWORD"]) == (host, port, "y", "p")


def test_what_postgres_programs_cannot_be_told_is_refused() -> None:
    with pytest.raises(OperationError, match="service"):
        snapshot._environment("postgresql://u:p@one/x?service=elsewhere")


@pytest.mark.parametrize("name", ["LUMIERE_BACKUP_DATABASE_URL", "LUMIERE_BACKUP_ADMIN_URL"])
@pytest.mark.parametrize("mode", ["", "?sslmode=require", "?sslmode=verify-full"])
def test_no_backup_passes_a_network_that_nobody_verified(name: str, mode: str) -> None:
    address = f"postgresql://u:verysecret@db.example.org/x{mode}"  # pragma: allowlist secret
    given = {"LUMIERE_BACKUP_DATABASE_URL": "postgresql://u:p@localhost/x", name: address}
    if mode == "?sslmode=verify-full":
        assert this_place(Layout(PlatformSettings()), given).keep
        return

    with pytest.raises(OperationError, match=f"{name} leaves this machine without verified TLS") as caught:
        this_place(Layout(PlatformSettings()), given)
    assert "verysecret" not in str(caught.value)


# ---- the witness


def proof(first: int, second: int) -> tuple[str, ...]:
    return tuple(b64encode(each).decode() for each in log().consistency(first, second))


def test_a_witness_keeps_checkpoints_that_continue_each_other(tmp_path: Path) -> None:
    assert witness.newest(tmp_path, SIGNER.name) is None
    assert witness.note_checkpoint(tmp_path, log().checkpoint(5), (), NOW)
    assert not witness.note_checkpoint(tmp_path, log().checkpoint(5), (), NOW), "the same one again"
    assert witness.note_checkpoint(tmp_path, log().checkpoint(300), proof(5, 300), NOW)

    newest = witness.newest(tmp_path, SIGNER.name)
    assert newest is not None
    assert newest.head.size == 300
    assert witness.continues(tmp_path, witness.head_of(log().checkpoint(5)))
    assert not witness.continues(tmp_path, witness.head_of(log().checkpoint(6))), "nobody has shown that"


@pytest.mark.parametrize(("size", "shown"), [(300, ()), (300, ("A" * 43 + "=",)), (4, ()), (5, ())])
def test_a_witness_refuses_a_log_that_was_rewritten_or_went_back(tmp_path: Path, size: int, shown: tuple[str, ...]) -> None:
    witness.note_checkpoint(tmp_path, log().checkpoint(5), (), NOW)
    other = OTHER_SIGNER.sign(checkpoint_text(SIGNER.name, size, b"x" * 32))

    with pytest.raises(WitnessRefused):
        witness.note_checkpoint(tmp_path, other, shown, NOW)


def test_a_log_of_a_new_name_begins_a_new_chain(tmp_path: Path) -> None:
    witness.note_checkpoint(tmp_path, log().checkpoint(300), (), NOW)
    second = NoteSigner("log.example/second", bytes(32))
    witness.note_checkpoint(tmp_path, second.sign(checkpoint_text(second.name, 7, b"r" * 32)), (), NOW)

    sizes = {name: seen.head.size for name, seen in witness.newest_of_each(witness.chain(tmp_path)).items()}
    assert sizes == {SIGNER.name: 300, "log.example/second": 7}


def test_another_logs_checkpoint_in_between_does_not_hide_that_a_log_was_rewritten(tmp_path: Path) -> None:
    witness.note_checkpoint(tmp_path, log().checkpoint(300), (), NOW)
    second = NoteSigner("log.example/second", bytes(32))
    witness.note_checkpoint(tmp_path, second.sign(checkpoint_text(second.name, 0, b"r" * 32)), (), NOW)

    for size in (300, 301, 5):
        other = OTHER_SIGNER.sign(checkpoint_text(SIGNER.name, size, b"x" * 32))
        with pytest.raises(WitnessRefused):
            witness.note_checkpoint(tmp_path, other, (), NOW)
    assert not witness.note_checkpoint(tmp_path, log().checkpoint(300), (), NOW), "as it was kept before"


def test_a_chain_that_was_tampered_with_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    witness.note_checkpoint(tmp_path, log().checkpoint(5), (), NOW)
    witness.note_checkpoint(tmp_path, log().checkpoint(300), proof(5, 300), NOW)
    path = tmp_path / witness.NAME
    path.write_text(
        path.read_text().replace(log().checkpoint(5).split("\n")[2], b64encode(b"z" * 32).decode()), encoding="utf-8"
    )

    with pytest.raises(WitnessRefused):
        witness.chain(tmp_path)


def test_a_checkpoint_is_believed_for_its_signature_where_the_key_is_known() -> None:
    assert witness.judged(log().checkpoint(5), KEY).size == 5
    with pytest.raises(WitnessRefused, match="not one of this log"):
        witness.judged(log().checkpoint(5, OTHER_SIGNER), KEY)
    with pytest.raises(WitnessRefused):
        witness.judged("no checkpoint", None)


# ---- retention


@pytest.mark.parametrize(
    ("keep", "kept"), [(1, ["a", "d"]), (2, ["a", "c", "d"]), (4, ["a", "b", "c", "d"]), (5, ["a", "b", "c", "d"])]
)
def test_the_newest_stay_and_so_does_the_last_that_was_verified(keep: int, kept: list[str]) -> None:
    backups = [
        Backup(name, NOW + timedelta(days=day), 1, "0", 0, NOW if name == "a" else None) for day, name in enumerate("abcd")
    ]

    record, removed = making._retained(Record(tuple(backups)), keep)

    assert [each.name for each in record.backups] == kept
    assert sorted([*kept, *removed]) == ["a", "b", "c", "d"]
