"""Backups and rotations, as their own records tell of them."""

from datetime import timedelta
from typing import Final

from libs.common import clock
from ops.backup import record
from ops.bus.members import age
from ops.doctor.box import Finding, NotExamined, Target, bad, box, judged
from ops.doctor.examined import Examined
from ops.secrets import register

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
    fix="Rotate it as docs/secrets.md says, and note it: `lumiere secrets check` names what is due.",
    targets=HERE,
    production=True,
)
def rotated(examined: Examined) -> Finding:
    """Is it known of every secret when it was set, and is none older than 90 days?"""
    if examined.secrets is None or not examined.secrets.exists():
        raise NotExamined("the folder of secret files is not here")
    names = [path.name for path in examined.secrets.iterdir() if path.is_file() and not path.name.startswith(".")]
    stale = register.stale(examined.secrets, names, clock.now())
    unknown = [each.name for each in stale if each.reason == "unknown"]
    faults = [f"{each.name} is {each.age_days} days old" for each in stale if each.reason == "old"]
    if unknown:
        faults.append(f"nobody knows how old {len(unknown)} are: {', '.join(unknown[:NAMED_MAX])}")
    return judged(faults[:NAMED_MAX], f"{len(names)} secrets, none older than {register.AGE_DAYS_MAX} days")


def _age(span: timedelta) -> str:
    return age(span.total_seconds())
