"""The keys that access tokens are signed with."""

from typing import Final

from ops.doctor.box import Finding, box, judged
from ops.doctor.examined import Examined

DAY_SECONDS: Final = 86_400
KEY_DAYS_MAX: Final = 91
"""A key signs for 90 days at most (SIGNING_KEY_DAYS); one day more, and the worker that rotates it has stopped."""


@box(
    "signing-keys",
    "The key that signs tokens is not old, and the next one is known",
    fix="Does auth's worker run? It rotates keys by itself; `lumiere keys rotate` does it now (docs/auth.md).",
)
def signing_keys(examined: Examined) -> Finding:
    """Is the signing key at most 90 days old, and has the one that comes next been published?"""
    figures = examined.figures("auth")
    seconds, waiting = figures["signing_key_seconds"], int(figures["signing_keys_next"] or 0)
    if seconds is None:
        return judged(["no key signs"], "")
    days = seconds / DAY_SECONDS
    faults = [f"the key that signs is {days:.0f} days old"] if days > KEY_DAYS_MAX else []
    if not waiting:
        faults.append("no next key is published")
    return judged(faults, f"the key that signs is {days:.0f} days old, the next one is published")
