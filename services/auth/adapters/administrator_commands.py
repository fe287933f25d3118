"""The operator's question about administrators: would anybody who tries the usual passwords get in?"""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final, cast

from libs.common.service import Assembled
from services.auth import queries
from services.auth.adapters.command_line import DONE
from services.auth.domain.passwords import PasswordHasher

USUAL: Final = (
    "admin",
    "administrator",
    "password",
    "changeme",
    "change-me",
    "lumiere",
    "Lumiere2024!",
    "Admin123!",
    "12345678",
)
"""What products are delivered with and people leave as it is. Each costs a bcrypt hash an administrator, so they are few."""
TRIED_MAX: Final = 20
"""Administrators whose passwords are tried; more are counted as left out."""


def administrators_command(assembled: Assembled, arguments: Sequence[str]) -> int:
    """Administrators: how many have one of the usual passwords or their own address; with `--json` one document."""
    parser = ArgumentParser(prog="administrators", description=administrators_command.__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args(list(arguments)).json
    hasher = cast(PasswordHasher, assembled.resources[PasswordHasher])
    with assembled.database.reader() as db:
        rows = queries.administrators_passwords(db)
    guessed = sum(_guessed(hasher, row.email, row.password_hash) for row in rows[:TRIED_MAX])
    answer = {
        "administrators": len(rows),
        "guessed": guessed,
        "left_out": max(0, len(rows) - TRIED_MAX),
        "passwords_tried": len(USUAL) + 2,
    }
    told = f"{guessed} of {len(rows)} administrators have a password that anybody would try first."
    sys.stdout.write(f"{json.dumps(answer) if as_json else told}\n")
    return DONE


def _guessed(hasher: PasswordHasher, email: str, stored: str | None) -> bool:
    return stored is not None and any(hasher.verify(each, stored) for each in (*USUAL, email, email.partition("@")[0]))
