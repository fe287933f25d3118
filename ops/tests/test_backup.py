"""Backups of a real database with a real log: what is verified is what was there."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url, text

from libs.common.db.database import single_connection_engine
from libs.common.db.provision import backup_role, provision_backup
from libs.common.ids import new_id, random_token
from libs.common.testing import Harness, service_harness
from ops.age import Damaged, WrongKey, identities_of, new_identity
from ops.backup import making, opening, record, witness
from ops.backup.place import Place
from ops.cli import main
from ops.errors import OperationError
from ops.proof import VerifierKey
from ops.tests.small_log import ORIGIN, SIGNER
from services.ledger import use_cases
from services.ledger.app import service
from services.ledger.tests.samples import painted

harness = service_harness(service, environ={"LOG_ORIGIN": ORIGIN, "LOG_SIGNING_KEY": SIGNER.private_key})
KEEP = 3


@pytest.fixture
def place(harness: Harness, tmp_path: Path) -> Place:
    """The harness's database as a role that reads everything; a folder for backups, and somebody who can open them."""
    password = random_token()
    provision_backup(harness.superuser_url, password, prefix="lumiere_test")
    private, public = new_identity()
    (tmp_path / "key").write_text(private, encoding="ascii")
    (tmp_path / "recipients.txt").write_text(public, encoding="ascii")
    url = harness.database_url(backup_role("lumiere_test"))
    reading = make_url(url).set(password=password).render_as_string(hide_password=False)
    return Place(
        folder=tmp_path / "backups",
        database=lambda: reading,
        admin=lambda: harness.superuser_url,
        storage=None,
        recipients_file=tmp_path / "recipients.txt",
        keep=KEEP,
        log_key=VerifierKey.parse(SIGNER.verifier_key),
    )


@pytest.fixture
def identities(place: Place) -> list[object]:
    return identities_of(place.recipients_file.with_name("key"))


def sealed(harness: Harness, leaves: int) -> None:
    for _ in range(leaves):
        harness.deliver(painted())
    harness.run_job("seal")


def test_a_backup_is_verified_by_restoring_it(harness: Harness, place: Place, identities: list[object]) -> None:
    sealed(harness, 5)
    made = making.create(place)
    sealed(harness, 3)

    found = opening.verify(place, opening.backup_path(place, "latest"), identities)

    assert (found.manifest.name, found.log_size) == (made.backup.name, 5)
    assert found.manifest.tables["ledger.leaf"].rows == 5
    assert found.manifest.keys.log == f"{ORIGIN}+{SIGNER.key_id.hex()}"
    known = record.read(place.folder)
    assert known.newest_verified == known.newest
    assert known.newest is not None
    assert known.newest.verified_at is not None
    assert databases(harness, "lumiere_verify_%") == [], "the scratch database is gone"


def test_each_backup_shows_that_the_log_continues_the_one_before(harness: Harness, place: Place) -> None:
    sealed(harness, 3)
    first = making.create(place)
    sealed(harness, 4)
    second = making.create(place)

    assert (first.manifest.log.since, second.manifest.log.since, second.manifest.log.size) == (None, 3, 7)
    assert [seen.head.size for seen in witness.chain(place.folder)] == [3, 7]


def test_a_log_that_went_back_is_backed_up_with_a_warning(harness: Harness, place: Place) -> None:
    sealed(harness, 6)
    making.create(place)
    harness.clean()
    sealed(harness, 2)

    made = making.create(place)

    assert "The log has 2 leaves, and 6 were witnessed" in made.warning
    assert [seen.head.size for seen in witness.chain(place.folder)] == [6]


def test_the_oldest_go_with_their_files(harness: Harness, place: Place) -> None:
    names = [making.create(place).backup.name for _ in range(KEEP + 2)]

    assert len(set(names)) == KEEP + 2, "also within one second"
    assert [each.name for each in record.read(place.folder).backups] == names[2:]
    assert sorted(path.stem for path in place.folder.glob("*.age")) == sorted(names[2:])


@pytest.mark.parametrize("damage", ["changed", "cut short", "another file"])
def test_a_backup_that_is_not_the_one_that_was_made_is_refused(
    harness: Harness, place: Place, identities: list[object], damage: str
) -> None:
    sealed(harness, 2)
    made = making.create(place)
    path = opening.backup_path(place, made.backup.name)
    if damage == "another file":
        # Anybody who knows the public keys can encrypt something that we can open.
        later = making.create(place)
        shutil.copy(opening.backup_path(place, later.backup.name), path)
    else:
        content = path.read_bytes()
        path.write_bytes(content[:-100] if damage == "cut short" else content[:-100] + bytes(100))

    with pytest.raises(Damaged, match="SHA-256 is not the one in the record"):
        opening.verify(place, path, identities)

    shutil.move(path, place.folder.parent / "elsewhere.age")
    if damage != "another file":
        with pytest.raises(Damaged):
            opening.verify(place, place.folder.parent / "elsewhere.age", identities)
    named = record.read(place.folder).named(made.backup.name)
    assert named is not None
    assert named.verified_at is None


def test_a_copy_that_was_verified_says_nothing_of_the_backup_itself(
    harness: Harness, place: Place, identities: list[object]
) -> None:
    made = making.create(place)
    path = opening.backup_path(place, made.backup.name)
    copy = shutil.copy(path, place.folder / "copy.age")
    path.write_bytes(b"damaged since")

    opening.verify(place, Path(copy), identities)

    named = record.read(place.folder).named(made.backup.name)
    assert named is not None
    assert named.verified_at is None


def test_a_backup_that_the_record_does_not_know_is_opened_only_when_somebody_says_so(
    harness: Harness, place: Place, identities: list[object]
) -> None:
    made = making.create(place)
    path = opening.backup_path(place, made.backup.name)
    record.write(place.folder, record.Record())

    with pytest.raises(Damaged, match="knows no such backup"):
        opening.verify(place, path, identities)
    assert opening.verify(place, path, identities, unrecorded=True).manifest.name == made.backup.name


def test_another_key_is_told_from_damage(harness: Harness, place: Place) -> None:
    made = making.create(place)
    other = place.folder.parent / "other"
    other.write_text(new_identity()[0], encoding="ascii")

    with pytest.raises(WrongKey, match="encrypted for other keys"):
        opening.verify(place, opening.backup_path(place, made.backup.name), identities_of(other))


def test_a_row_that_differs_is_noticed(harness: Harness, place: Place) -> None:
    sealed(harness, 2)
    manifest = making.create(place).manifest
    change(harness, "UPDATE ledger.leaf SET type = type || 'x' WHERE event_id = (SELECT event_id FROM ledger.leaf LIMIT 1)")

    with pytest.raises(Damaged) as caught:
        opening.compare(harness.superuser_url, manifest, None)

    assert caught.value.details == "ledger.leaf has other content than was backed up"


def test_leaves_that_do_not_give_the_signed_root_are_noticed(harness: Harness, place: Place) -> None:
    sealed(harness, 4)
    change(
        harness,
        "UPDATE ledger.leaf SET leaf = leaf || ' '::bytea, leaf_hash = sha256('\\x00'::bytea || leaf || ' '::bytea) "
        "WHERE event_id = (SELECT event_id FROM ledger.sequenced WHERE leaf_index = 2)",
    )
    manifest = making.create(place).manifest

    with pytest.raises(Damaged, match="do not give the root that the log has signed"):
        opening.compare(harness.superuser_url, manifest, None)


def test_a_role_that_another_server_does_not_know_is_made_there_without_a_way_to_sign_in(
    harness: Harness, place: Place, identities: list[object]
) -> None:
    sealed(harness, 2)
    role = f"reporting_{new_id().hex}"
    for statement in ('CREATE ROLE "{}" LOGIN', 'GRANT USAGE ON SCHEMA ledger TO "{}"', 'GRANT SELECT ON ledger.leaf TO "{}"'):
        change(harness, statement.format(role))
    try:
        made = making.create(place)
    finally:
        change(harness, f'DROP OWNED BY "{role}"')
        change(harness, f'DROP ROLE "{role}"')
    path = opening.backup_path(place, made.backup.name)

    with opening.scratch_database(place) as url:
        opening.unpack(path, identities, url, None, roles=True)
        opening.compare(url, made.manifest, place.log_key)
        rights = asked(url, "SELECT has_table_privilege(:role, 'ledger.leaf', 'SELECT')", role=role)

    assert rights == [True]
    assert asked(harness.superuser_url, "SELECT rolcanlogin FROM pg_roles WHERE rolname = :role", role=role) == [False]
    change(harness, f'DROP ROLE "{role}"')


def test_a_backup_needs_somebody_who_can_open_it(place: Place) -> None:
    place.recipients_file.unlink()

    with pytest.raises(OperationError, match="lumiere backup key FILE"):
        making.create(place)


def test_the_role_of_backups_reads_and_writes_nothing(harness: Harness, place: Place) -> None:
    engine = single_connection_engine(place.database_url)
    with engine.connect() as connection:
        for statement in ("DELETE FROM ledger.pending_leaf", "CREATE TABLE ledger.mine (a int)", "CREATE SCHEMA mine"):
            with pytest.raises(Exception, match="permission denied"):
                connection.execute(text(statement))
    engine.dispose()


def test_a_command_without_a_platform_says_what_to_do(tmp_path: Path) -> None:
    environ = {"LUMIERE_HOME": str(tmp_path / "home"), "LUMIERE_PORT_BASE": "61000"}
    done = CliRunner().invoke(main, ["backup", "list", "--json"], env=environ)
    assert json.loads(done.output)["backups"] == []

    done = CliRunner().invoke(main, ["backup", "create"], env=environ)
    assert done.exit_code == 1
    done = CliRunner().invoke(main, ["backup", "verify", "--identity", str(tmp_path / "key")], env=environ)
    assert done.exit_code == 1


def change(harness: Harness, statement: str) -> None:
    """What only a server's administrator can do to append-only tables."""
    engine = single_connection_engine(harness.superuser_url)
    with engine.connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(statement))
    engine.dispose()


def databases(harness: Harness, pattern: str) -> list[str]:
    return asked(harness.superuser_url, "SELECT datname FROM pg_database WHERE datname LIKE :pattern", pattern=pattern)


def asked(url: str, query: str, **values: str) -> list[Any]:
    """The first column of what the database answers."""
    engine = single_connection_engine(url)
    with engine.connect() as connection:
        found = connection.scalars(text(query), values).all()
    engine.dispose()
    return list(found)


def test_what_the_log_holds_is_what_its_own_head_says(harness: Harness, place: Place) -> None:
    sealed(harness, 3)
    manifest = making.create(place).manifest
    with harness.database.reader() as db:
        head = use_cases.own_head(db)

    assert head is not None
    assert opening.tree_head(manifest) == {
        "origin": ORIGIN,
        "size": head.size,
        "root_hash": manifest.log.root,
    }
