"""Time: tokens, leases, proofs and jobs live by it."""

import ctypes
from email.utils import parsedate_to_datetime
from typing import Final

from sqlalchemy import text

from libs.common import clock
from ops.doctor.box import Finding, NotExamined, Target, Weight, bad, box, good, judged
from ops.doctor.examined import Examined

OFFSET_MAX_SECONDS: Final = 2.0
"""Far more than a clock shows that is kept by NTP, and far less than what a token or proof tolerates."""
_HEADER_SECONDS: Final = 1.0
"""The Date header knows whole seconds only."""


UNSYNCHRONISED: Final = 5
"""What adjtimex(2) returns while nobody keeps the clock, TIME_ERROR."""
_MICROSECONDS: Final = 1_000_000
_TIMEX_LONGS, _ESTIMATED_ERROR = 64, 4
"""More room than `struct timex` takes, and where its `esterror` stands, in words of the machine."""


@box(
    "clock-kept",
    "Somebody keeps this machine's clock",
    fix="Install chrony, or `timedatectl set-ntp true`; `chronyc tracking` says how far it is off.",
    weight=Weight.ADVISED,
    targets={Target.LOCAL, Target.ENGINE},
    production=True,
)
def kept(_examined: Examined) -> Finding:
    """Does the kernel say that its clock is synchronised (adjtimex), as NTP does it?"""
    state, error = kernel_clock()
    if state < 0:
        raise NotExamined("the kernel does not tell")
    return (
        bad("the kernel says that nobody keeps its clock") if state == UNSYNCHRONISED else good(f"kept, within {error:.3f} s")
    )


def kernel_clock() -> tuple[int, float]:
    """adjtimex(2), which changes nothing: the clock's state, and its estimated error in seconds."""
    words = (ctypes.c_long * _TIMEX_LONGS)()
    state = int(ctypes.CDLL(None).adjtimex(ctypes.byref(words)))
    return state, words[_ESTIMATED_ERROR] / _MICROSECONDS


@box(
    "clock-database",
    "The database's clock",
    fix="Let chrony or systemd-timesyncd keep the clock on every machine, then look again: `timedatectl status`.",
)
def database_clock(examined: Examined) -> Finding:
    """Is the database's clock within 2 s of the one here?"""
    with examined.database() as db:
        before = clock.now()
        theirs = db.scalar(text("SELECT clock_timestamp()"))
        between = before + (clock.now() - before) / 2
    offset = (theirs - between).total_seconds()
    return _judged("the database", offset, OFFSET_MAX_SECONDS)


@box(
    "clock-gateway",
    "The gateway's clock",
    fix="Let chrony or systemd-timesyncd keep the clock on the gateway's machine: `timedatectl status`.",
)
def gateway_clock(examined: Examined) -> Finding:
    """Is the clock by which the gateway and the services answer (the Date header) within 3 s of the one here?"""
    answer = examined.ask("GET", "/api/v1/proofs/checkpoint")
    if "date" not in answer.headers:
        raise NotExamined("the answer has no Date header")
    offset = (parsedate_to_datetime(answer.headers["date"]) - clock.now()).total_seconds()
    return _judged("the gateway", offset + _HEADER_SECONDS / 2, OFFSET_MAX_SECONDS + _HEADER_SECONDS)


def _judged(whose: str, offset: float, most: float) -> Finding:
    where = "ahead of" if offset > 0 else "behind"
    evidence = f"{whose} is {abs(offset):.2f} s {where} this machine"
    return judged([evidence] if abs(offset) > most else [], evidence)
