"""What auth tells operators of its administrators: numbers, and whether a password is one that anybody would try first."""

import json

import bcrypt
import pytest
from sqlalchemy import text

from libs.common.clock import now
from libs.common.db.database import single_connection_engine
from libs.common.db.figures import FIGURES_VIEW
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.auth.adapters import administrator_commands
from services.auth.adapters.administrator_commands import USUAL, administrators_command
from services.auth.adapters.command_line import DONE
from services.auth.domain.passwords import PREHASH_VERSION, StoredPassword, prehash
from services.auth.domain.secrets import MasterSecret
from services.auth.tests.conftest import Person, make_administrator

COST = 4
FIGURES = text(f"SELECT figure, value FROM auth.{FIGURES_VIEW}")  # noqa: S608 — a constant


def asked(harness: Harness, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    assert administrators_command(harness.assembled, ["--json"]) == DONE
    told: dict[str, int] = json.loads(capsys.readouterr().out)
    return told


def give_password(harness: Harness, email: str, password: str) -> None:
    secret = harness.resource(MasterSecret)
    hashed = bcrypt.hashpw(prehash(password, secret), bcrypt.gensalt(COST)).decode()
    stored = str(StoredPassword(PREHASH_VERSION, secret.id, hashed))
    statement = (
        "UPDATE auth.password_credential SET password_hash = :stored "
        "WHERE user_id = (SELECT id FROM auth.user_account WHERE email = :email)"
    )
    with harness.transaction() as tx:
        tx.execute(text(statement), {"stored": stored, "email": email})


def figures(harness: Harness) -> dict[str, float | None]:
    # The service itself has no right on the view: the owner of the schema made it for whoever watches.
    engine = single_connection_engine(harness.owner_url)
    with engine.connect() as connection:
        found = {row.figure: row.value for row in connection.execute(FIGURES)}
    engine.dispose()
    return found


@pytest.mark.parametrize("password", [USUAL[0], "root@example.org", "root"])
def test_an_administrator_with_a_usual_password_is_counted(
    harness: Harness, capsys: pytest.CaptureFixture[str], password: str
) -> None:
    make_administrator(harness, "root@example.org")
    well = {"administrators": 1, "guessed": 0, "left_out": 0, "passwords_tried": len(USUAL) + 2}
    assert asked(harness, capsys) == well
    give_password(harness, "root@example.org", password)
    assert asked(harness, capsys) == well | {"guessed": 1}


def test_of_many_administrators_the_rest_is_left_out_and_told(
    harness: Harness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administrator_commands, "TRIED_MAX", 1)
    for number in range(2):
        make_administrator(harness, f"root{number}@example.org")
    told = asked(harness, capsys)
    assert (told["administrators"], told["left_out"]) == (2, 1)


def test_a_person_is_no_administrator(harness: Harness, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    give_password(harness, person.email, USUAL[0])
    assert asked(harness, capsys)["administrators"] == 0


def test_figures_count_administrators_and_their_second_factors(harness: Harness, person: Person) -> None:
    assert figures(harness)["administrators"] == 0
    assert figures(harness)["administrators_password_cost_least"] is None
    administrator = make_administrator(harness, "root@example.org")
    counted = figures(harness)
    assert (counted["administrators"], counted["administrators_with_second_factor"]) == (1, 0)
    assert counted["administrators_password_cost_least"] == COST
    insert = (
        "INSERT INTO auth.totp_credential (user_id, secret_sealed, secret_id, created_at, confirmed_at, last_step) "
        "SELECT id, '', 'x', :now, :now, 1 FROM auth.user_account WHERE email = :email"
    )
    with harness.transaction() as tx:
        tx.execute(text(insert), {"now": now(), "email": administrator.email})
    assert figures(harness)["administrators_with_second_factor"] == 1


def test_figures_tell_of_maintenance(harness: Harness) -> None:
    assert figures(harness)["maintenance"] == 0
    insert = (
        "INSERT INTO auth.maintenance (scope, enabled, reason, changed_by, changed_at, revision) "
        "VALUES ('platform', true, 'a rehearsal', :who, :now, 1)"
    )
    with harness.transaction() as tx:
        tx.execute(text(insert), {"who": new_id(), "now": now()})
    assert figures(harness)["maintenance"] == 1
