"""Hands memory back: the control process stays for weeks, and what it needs for a second it should not hold for weeks."""

import ctypes
from typing import Final

ARENAS_MAX: Final = 1
"""Heaps that its threads share. They mostly wait, so one lock costs nothing; each further heap keeps a remainder of its own."""
KEPT_BYTES: Final = 64 * 1024
"""Unused memory at the end of the heap from which it goes back; blocks of this size are mapped, and unmapped when freed."""
_SETTINGS: Final = {-8: ARENAS_MAX, -1: KEPT_BYTES, -3: KEPT_BYTES}
"""By glibc's number: M_ARENA_MAX, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD (mallopt(3))."""


def keep_small() -> bool:
    """Set the C library's allocator so, before threads start. Returns whether it could be told; others than glibc cannot."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in _SETTINGS.items())
