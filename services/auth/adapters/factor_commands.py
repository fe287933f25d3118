"""The operator's door to second factors, for an administrator who lost all of theirs and whom nobody else can help."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from libs.common.errors import Problem
from libs.common.service import Assembled
from libs.common.telemetry import context
from services.auth import queries
from services.auth.adapters.command_line import DONE, REFUSED, USAGE
from services.auth.domain.accounts import Address, UnknownAccount, normal_address
from services.auth.use_cases import factors


def factors_command(assembled: Assembled, arguments: Sequence[str]) -> int:
    """Second factors: `factors reset EMAIL` takes them all away; with `--json` one document on standard output."""
    options = _options(arguments)
    try:
        address = normal_address(options.email)
    except ValueError as fault:
        sys.stderr.write(f"The e-mail address {fault}.\n")
        return USAGE
    outcome = _reset(assembled, address)
    if outcome is not None:
        sys.stderr.write(f"{outcome.detail}\n")
        return REFUSED
    told = f"The second factors of {address} are gone; its sessions have ended."
    sys.stdout.write(f"{json.dumps({'reset': address}) if options.json else told}\n")
    return DONE


def _reset(assembled: Assembled, address: Address) -> Problem | None:
    with context.bound(actor="operator"), assembled.database.transaction() as tx:
        account = queries.account_by_address(tx, address)
        return UnknownAccount("No account has this address.") if account is None else factors.reset(tx, account.id)


class _Options:
    email: str
    json: bool


def _options(arguments: Sequence[str]) -> _Options:
    parser = ArgumentParser(prog="factors", description=factors_command.__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    reset = acts.add_parser("reset", help="take every second factor of an account away and end its sessions")
    reset.add_argument("email", metavar="EMAIL")
    reset.add_argument("--json", action="store_true")
    return parser.parse_args(list(arguments), namespace=_Options())
