"""Backups and rotations, as their own records tell of them."""

from datetime import timedelta
from typing import Final

from libs.common import clock
from ops.backup import record
from ops.bus.members import age
from ops.doctor.box import Finding, NotExamined, Target, bad, box, judged
from ops.doctor.examined import Examined
from ops.secrets import checking, register

BACKUP_AGE_MAX: Final = timedelta(hours=26)
"""One a day, with two hours of grace for a slow one."""
VERIFIED_AGE_MAX: Final = timedelta(days=8)
"""One rehearsed restore a week, with a day of grace."""
NAMED_MAX: Final = 5
HERE: Final = {Target.LOCAL, Target.ENGINE}


@box(
    "backups-fresh",
    "Backups are fresh and have been restored",
    fix="`lumiere backup create`, then `lumiere backup verify`; let a timer do both (docs/backups.md).",
    targets=HERE,
    production=True,
)
def fresh(examined: Examined) -> Finding:
    """Was a backup made within 26 hours, and one restored for trial that is at most 8 days old?"""
    if examined.backups is None:
        raise NotExamined("the folder of backups is not known here: set LUMIERE_BACKUP_FOLDER")
    try:
        known = record.read(examined.backups)
    except ValueError as error:
        raise NotExamined("the record of backups cannot be read") from error
    if known.newest is None:
        return bad("no backup was ever made")
    now, newest, verified = clock.now(), known.newest, known.newest_verified
    faults = [f"the newest is {_age(now - newest.created_at)} old"] if now - newest.created_at > BACKUP_AGE_MAX else []
    if verified is None:
        faults.append("none was ever restored for trial")
    elif now - verified.created_at > VERIFIED_AGE_MAX:
        faults.append(f"the newest that was restored for trial is {_age(now - verified.created_at)} old")
    return judged(faults, f"{len(known.backups)} backups, the newest {_age(now - newest.created_at)} old, restores rehearsed")


@box(
    "secrets-fresh",
    "No secret is older than 90 days",
    fix="`lumiere secrets check` names what is due, `lumiere secrets rotate NAME` replaces it (docs/secrets.md).",
    targets=HERE,
    production=True,
)
def rotated(examined: Examined) -> Finding:
    """Is it known of every secret when it was set, and is none older than 90 days?"""
    if examined.secrets is None or not examined.secrets.exists():
        raise NotExamined("the folder of secret files is not here")
    found = checking.check([], {"here": examined.secrets}, clock.now())
    unknown = [each.name for each in found if each.problem == "unknown"]
    faults = [f"{each.name} was {each.detail}" for each in found if each.problem == "old"]
    if unknown:
        faults.append(f"nobody knows when {len(unknown)} were set: {', '.join(unknown[:NAMED_MAX])}")
    count = len(checking.secret_files(examined.secrets))
    return judged(faults[:NAMED_MAX], f"{count} files, no secret in them older than {register.AGE_DAYS_MAX} days")


def _age(span: timedelta) -> str:
    return age(span.total_seconds())
