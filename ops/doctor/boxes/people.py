"""Administrators: enough of them, each with a second factor, and no password that anybody would try first."""

import json
from typing import Final

from ops.doctor.box import Finding, NotExamined, Target, bad, box, good, judged
from ops.doctor.examined import Examined
from ops.errors import OperationError

ADMINISTRATORS_MIN: Final = 2
"""One proposes and another confirms (docs/auth.md); and one may lose what they sign in with."""
COST_MIN: Final = 12
"""bcrypt's, as auth makes hashes."""
TRIES_SECONDS: Final = 120.0


@box(
    "administrators",
    "There are at least two administrators",
    fix="Make them: `lumiere admin create EMAIL`, for two people.",
    production=True,
)
def enough(examined: Examined) -> Finding:
    """Has the platform two active administrators or more, so that no single loss leaves it without one?"""
    count = int(examined.figures("auth")["administrators"] or 0)
    return judged([f"{count} active"] if count < ADMINISTRATORS_MIN else [], f"{count} active administrators")


@box(
    "administrators-second-factor",
    "Every administrator has a second factor",
    fix="Each sets up an authenticator app or a passkey on their profile page; until then their token opens nothing else.",
    production=True,
)
def second_factor(examined: Examined) -> Finding:
    """Has every active administrator a confirmed authenticator app or a passkey?"""
    figures = examined.figures("auth")
    count, secured = (int(figures[name] or 0) for name in ("administrators", "administrators_with_second_factor"))
    if not count:
        return bad("there is no administrator", "Make two: `lumiere admin create EMAIL`.")
    return judged([f"{count - secured} of {count} have none"] if secured < count else [], f"all {count} have one")


@box(
    "administrator-hashes",
    "Administrators' passwords are hashed as they must be",
    fix="Let the administrator sign in, which makes the hash anew, or reset the password by mail.",
)
def hashes(examined: Examined) -> Finding:
    """Has the weakest hash of an administrator's password bcrypt's cost 12 or more?"""
    least = examined.figures("auth")["administrators_password_cost_least"]
    if least is None:
        return good("no administrator has a password")
    return judged([f"one has cost {least:.0f}"] if least < COST_MIN else [], f"cost {least:.0f} or more")


@box(
    "administrator-password",
    "No administrator has a password that anybody would try first",
    fix="Change it at once, and end the account's sessions: the password page, or `lumiere admin …` and a reset by mail.",
    targets={Target.LOCAL, Target.ENGINE},
    seconds=TRIES_SECONDS,
)
def guessed(examined: Examined) -> Finding:
    """Does auth itself find no administrator whose password is among the well-known default ones or is their own address?"""
    try:
        answer = json.loads(examined.ask_service("auth", "administrators", "--json"))
    except OperationError as error:
        raise NotExamined(str(error)) from error
    count, tried = answer["administrators"], answer["passwords_tried"]
    if answer["guessed"]:
        return bad(f"{answer['guessed']} of {count} administrators have a password of the {tried} that were tried")
    if answer["left_out"]:
        raise NotExamined(f"{answer['left_out']} of {count} administrators were not tried")
    return good(f"{count} administrators; none has one of the {tried} passwords that were tried")
