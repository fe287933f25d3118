"""Migrations run while the former release still answers: they expand, or say why they may contract.

What breaks the code that runs, and what holds a table while it works, is found by squawk in the SQL that a revision would
execute. A revision that must do it all the same says so beside its number, by rule and with the reason: docs/upgrades.md tells
when it may.

    contracts = {"ban-drop-column": "Unread since 0.3.0, which every replica has run since."}
"""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from alembic.migration import MigrationContext
from alembic.operations import Operations

from ops.locked import last_line
from ops.settings import ROOT

POSTGRES: Final = "15.0"
"""The oldest server that the platform runs on."""
BREAKS: Final = {
    "adding-required-field",
    "adding-not-nullable-field",
    "ban-create-domain-with-constraint",
    "ban-drop-column",
    "ban-drop-constraint",
    "ban-drop-database",
    "ban-drop-default",
    "ban-drop-function",
    "ban-drop-not-null",
    "ban-drop-schema",
    "ban-drop-table",
    "ban-drop-trigger",
    "ban-drop-type",
    "ban-drop-view",
    "ban-truncate-cascade",
    "changing-column-type",
    "renaming-column",
    "renaming-object",
    "renaming-table",
}
"""Rules whose breach the former release's code would stumble over."""
HOLDS: Final = {
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "adding-serial-primary-key-field",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
    "require-concurrent-reindex",
}
"""Rules whose breach keeps others from a table for as long as it takes."""
MARK: Final = "contracts"
OWN: Final = {
    "rows-changed-in-one-statement": (
        re.compile(r"^\s*(UPDATE|DELETE|TRUNCATE)\b", re.IGNORECASE),
        "holds every row that it changes until the migration commits",
    ),
    "concurrently-in-a-transaction": (
        re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE),
        "Postgres refuses it inside the transaction in which every migration runs",
    ),
}
"""Rules of our own for what squawk leaves to others: what to look for, and what is wrong with it."""
REASON_MIN: Final = 20
"""Characters of a reason: a word is none."""


def faults(root: Path = ROOT) -> str:
    """One line for every revision that contracts without saying why; empty when there is none."""
    paths = sorted((root / "services").glob("*/migrations/versions/*.py"))
    revisions = [(path, load(path)) for path in paths if path.stem != "__init__"]
    return "\n".join(fault for path, module in revisions for fault in revision_faults(module, str(path.relative_to(root))))


def revision_faults(module: ModuleType, name: str) -> Iterator[str]:
    """What one revision does that it does not say, and what it says that it does not do."""
    said: Mapping[str, str] = getattr(module, MARK, {})
    found = dict(breaches(statements_of(module)))
    for rule, where in found.items():
        if rule not in said:
            yield f"{name}: {rule}: {where}; expand instead, or say why it may in `{MARK}` (docs/upgrades.md)"
    for rule, reason in said.items():
        if rule not in found:
            yield f"{name}: `{MARK}` names {rule}, which it does not do"
        elif len(reason.strip()) < REASON_MIN:
            yield f"{name}: `{MARK}` gives {rule} no reason"


def load(path: Path) -> ModuleType:
    """A revision by its file. Its number begins with a digit, so no statement imports it."""
    specification = util.spec_from_file_location(f"revision_{path.stem}", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is no module")
    module = util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def statements_of(module: ModuleType) -> str:
    """The SQL that a revision would execute, without any database."""
    written = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    with Operations.context(context):
        module.upgrade()
    return written.getvalue()


def breaches(sql: str) -> Iterator[tuple[str, str]]:
    """Each rule that the statements break, once, with the first place and what squawk says of it."""
    seen = set[str]()
    for rule, message in [*_linted(sql), *_own(sql)]:
        if rule not in seen and rule in {*BREAKS, *HOLDS, *OWN}:
            seen.add(rule)
            yield rule, message


def _linted(sql: str) -> Iterator[tuple[str, str]]:
    program = str(Path(sys.executable).parent / "squawk")
    command = [
        program,
        "--reporter",
        "json",
        "--pg-version",
        POSTGRES,
        "--assume-in-transaction",
        "--stdin-filepath",
        "migration.sql",
    ]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"squawk ended with {done.returncode}: {last_line(done.stderr)}") from None
    lines = sql.splitlines()
    for each in found:
        if each["rule_name"] == "syntax-error":
            raise RuntimeError(f"squawk cannot read line {each['line'] + 1}: {each['message']}")
        yield each["rule_name"], f"{lines[each['line']].strip()[:80]!r}: {each['message']}"


def _own(sql: str) -> Iterator[tuple[str, str]]:
    """Breaches of our own rules. What stands in the body of a function is no statement of the migration."""
    outside = re.sub(r"\$(\w*)\$.*?\$\1\$", "", sql, flags=re.DOTALL)
    for line in outside.splitlines():
        for rule, (pattern, wrong) in OWN.items():
            if pattern.search(line):
                yield rule, f"{line.strip()[:80]!r}: {wrong}"
