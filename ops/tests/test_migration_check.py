"""A migration that the former release's code would stumble over, or that holds a table, is named unless it says why it may."""

from pathlib import Path
from types import ModuleType

import pytest
from alembic import op

from ops.checks import migrations

EXPANDING = {
    "a table with its indexes and constraints": [
        "CREATE TABLE media.planted (id uuid NOT NULL, of uuid NOT NULL REFERENCES media.upload (id))",
        "CREATE INDEX ix_planted_of ON media.planted (of)",
    ],
    "a column that may be empty": ["ALTER TABLE media.upload ADD COLUMN planted text"],
    "a column with a constant default": ["ALTER TABLE media.upload ADD COLUMN planted text NOT NULL DEFAULT ''"],
    "a constraint that is checked later": ["ALTER TABLE media.upload ADD CONSTRAINT planted CHECK (size > 0) NOT VALID"],
    "a function": [
        "CREATE OR REPLACE FUNCTION media.planted() RETURNS void LANGUAGE sql AS $$ UPDATE media.upload SET size = 1 $$"
    ],
}
PLANTED = {
    "ban-drop-column": "ALTER TABLE media.upload DROP COLUMN size",
    "ban-drop-table": "DROP TABLE media.upload",
    "ban-drop-default": "ALTER TABLE media.upload ALTER COLUMN size DROP DEFAULT",
    "ban-drop-constraint": "ALTER TABLE media.upload DROP CONSTRAINT planted",
    "ban-drop-function": "DROP FUNCTION media.planted()",
    "renaming-column": "ALTER TABLE media.upload RENAME COLUMN size TO bytes",
    "renaming-table": "ALTER TABLE media.upload RENAME TO file",
    "changing-column-type": "ALTER TABLE media.upload ALTER COLUMN size TYPE text",
    "adding-required-field": "ALTER TABLE media.upload ADD COLUMN planted text NOT NULL",
    "adding-not-nullable-field": "ALTER TABLE media.upload ALTER COLUMN size SET NOT NULL",
    "adding-field-with-default": "ALTER TABLE media.upload ADD COLUMN planted uuid DEFAULT gen_random_uuid()",
    "constraint-missing-not-valid": "ALTER TABLE media.upload ADD CONSTRAINT planted CHECK (size > 0)",
    "adding-foreign-key-constraint": "ALTER TABLE media.upload ADD CONSTRAINT planted FOREIGN KEY (id) REFERENCES media.x (id)",
    "disallowed-unique-constraint": "ALTER TABLE media.upload ADD CONSTRAINT planted UNIQUE (size)",
    "require-concurrent-index-creation": "CREATE INDEX planted ON media.upload (size)",
    "require-concurrent-index-deletion": "DROP INDEX media.planted",
    "concurrently-in-a-transaction": "CREATE INDEX CONCURRENTLY planted ON media.upload (size)",
    "rows-changed-in-one-statement": "UPDATE media.upload SET size = 1",
}
REASON = "Unread since 0.3.0, which every replica has run since."


def revision(*statements: str, **marks: dict[str, str]) -> ModuleType:
    """A revision that executes these statements."""
    module = ModuleType("planted")

    def upgrade() -> None:
        for statement in statements:
            op.execute(statement)

    module.__dict__.update(upgrade=upgrade, **marks)
    return module


def found(module: ModuleType) -> list[str]:
    return list(migrations.revision_faults(module, "0009_planted.py"))


@pytest.mark.parametrize("rule", PLANTED)
def test_what_breaks_running_code_or_holds_a_table_is_named(rule: str) -> None:
    assert any(fault.startswith(f"0009_planted.py: {rule}: ") for fault in found(revision(PLANTED[rule])))


@pytest.mark.parametrize("what", EXPANDING)
def test_what_only_expands_is_left_alone(what: str) -> None:
    assert found(revision(*EXPANDING[what])) == []


def test_a_revision_may_contract_where_it_says_why() -> None:
    assert found(revision(PLANTED["ban-drop-column"], contracts={"ban-drop-column": REASON})) == []


def test_a_reason_for_one_thing_excuses_no_other() -> None:
    (fault,) = found(revision(PLANTED["ban-drop-column"], PLANTED["renaming-table"], contracts={"ban-drop-column": REASON}))
    assert "renaming-table" in fault


def test_a_mark_without_a_reason_or_without_its_breach_is_named() -> None:
    (fault,) = found(revision(PLANTED["ban-drop-column"], contracts={"ban-drop-column": "x" * (migrations.REASON_MIN - 1)}))
    assert fault.endswith("gives ban-drop-column no reason")
    (fault,) = found(revision(contracts={"ban-drop-column": REASON}))
    assert fault.endswith("names ban-drop-column, which it does not do")


def test_a_statement_that_cannot_be_read_is_no_silence() -> None:
    with pytest.raises(RuntimeError, match="squawk cannot read"):
        found(revision("ALTER TABEL media.upload WONDER"))


def test_revisions_are_read_from_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "services" / "media" / "migrations" / "versions"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "0002_planted.py").write_text(
        'from alembic import op\n\nrevision = "0002"\n\n\ndef upgrade():\n    op.execute("DROP TABLE media.upload")\n'
    )
    assert migrations.faults(tmp_path).startswith("services/media/migrations/versions/0002_planted.py: ban-drop-table: ")
