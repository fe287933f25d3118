"""The operator's door: commands run beside the service, by whoever may start its processes."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any, TextIO, cast
from uuid import UUID

from sqlalchemy import Row

from libs.common.auth.policy import Role
from libs.common.errors import Problem
from libs.common.service import Assembled
from libs.common.telemetry import context
from services.auth import queries
from services.auth.domain.accounts import Address, Locale, display_name, normal_address
from services.auth.domain.password_rules import PasswordRefused
from services.auth.domain.passwords import normal_password
from services.auth.domain.secrets import MasterSecret
from services.auth.use_cases import keys
from services.auth.use_cases.keeping import Keeping
from services.auth.use_cases.registration import Registration, create_administrator

DONE, REFUSED, USAGE = 0, 1, 2


def admin_create(assembled: Assembled, arguments: Sequence[str]) -> int:
    """Make one of the first administrators: `admin-create EMAIL`, the password as the first line of standard input."""
    options = _options(arguments)
    try:
        registration = Registration(
            Address(_named("e-mail address", normal_address, options.email)),
            _named("password", normal_password, sys.stdin.readline().rstrip("\r\n")),
            _named("display name", display_name, options.display_name),
            Role.ADMIN,
            Locale(options.locale),
        )
    except ValueError as fault:
        return _say(sys.stderr, f"{fault}\n", USAGE)
    try:
        outcome = _create(assembled, registration)
    except PasswordRefused as refused:
        return _say(sys.stderr, f"The password {refused.faults[0].detail}.\n", USAGE)
    if isinstance(outcome, Problem):
        return _say(sys.stderr, f"{outcome.detail}\n", REFUSED)
    return _say(sys.stdout, f"Administrator {outcome} can sign in.\n", DONE)


def keys_command(assembled: Assembled, arguments: Sequence[str]) -> int:
    """Signing keys: `keys list`, `keys rotate`, `keys withdraw KEY_ID`; with `--json` one document on standard output."""
    options = _keys_options(arguments)
    secret = cast(MasterSecret, assembled.resources[MasterSecret])
    with context.bound(actor="operator"), assembled.database.transaction() as tx:
        if options.act == "withdraw":
            outcome = keys.withdraw(tx, options.key_id, secret)
        else:
            outcome = keys.rotate(tx, secret) if options.act == "rotate" else keys.ensure_active_key(tx, secret)
        listed = [_described(row) for row in queries.keys(tx)]
    if isinstance(outcome, Problem):
        return _say(sys.stderr, f"{outcome.detail}\n", REFUSED)
    answer = {"signing": outcome.id, "keys": listed}
    lines = [f"{key['state']:<10} {key['id']}  published {key['published_at']}" for key in listed]
    return _say(sys.stdout, json.dumps(answer) + "\n" if options.json else "".join(f"{line}\n" for line in lines), DONE)


def _described(row: Row[Any]) -> dict[str, str | None]:
    moments = ("published_at", "activated_at", "retired_at", "withdrawn_at")
    when = {name: moment.isoformat(timespec="seconds") if (moment := getattr(row, name)) else None for name in moments}
    return {"id": row.id, "state": row.state, **when}


class _KeysOptions:
    act: str
    key_id: str
    json: bool


def _keys_options(arguments: Sequence[str]) -> _KeysOptions:
    parser = ArgumentParser(prog="keys", description=keys_command.__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    for name, words in (
        ("list", "every key and its state"),
        ("rotate", "let the next key sign now"),
        ("withdraw", "refuse every token of a key from now on, everywhere"),
    ):
        act = acts.add_parser(name, help=words)
        act.add_argument("--json", action="store_true")
        if name == "withdraw":
            act.add_argument("key_id", metavar="KEY_ID")
    return parser.parse_args(list(arguments), namespace=_KeysOptions())


class _Options:
    email: str
    display_name: str
    locale: str


def _options(arguments: Sequence[str]) -> _Options:
    parser = ArgumentParser(prog="admin-create", description=admin_create.__doc__)
    parser.add_argument("email", metavar="EMAIL")
    parser.add_argument("--display-name", default="Administrator")
    parser.add_argument("--locale", default=Locale.FR.value, choices=[each.value for each in Locale])
    return parser.parse_args(list(arguments), namespace=_Options())


def _create(assembled: Assembled, registration: Registration) -> UUID | Problem:
    keeping = cast(Keeping, assembled.resources[Keeping])
    with context.bound(actor="operator"):
        return create_administrator(assembled.database, registration, keeping)


def _named(name: str, check: Callable[[str], str], text: str) -> str:
    try:
        return check(text)
    except ValueError as fault:
        raise ValueError(f"The {name} {fault}.") from None


def _say(stream: TextIO, text: str, code: int) -> int:
    stream.write(text)
    return code
