"""Byte ranges of a download (RFC 9110 section 14)."""

import re
from dataclasses import dataclass

from libs.common.errors import RangeNotSatisfiable

# A 20-digit position is past any file; longer ones are refused before they become integers.
_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,20})-(\d{0,20})\s*", re.ASCII | re.IGNORECASE)


class RangeOutsideFile(RangeNotSatisfiable):
    """The range begins after the last byte."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes. Ask for a range inside it.")
        self.size = size

    def headers(self) -> dict[str, str]:
        """The current length (RFC 9110 section 15.5.17)."""
        return {"Content-Range": f"bytes */{self.size}"}


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a file to send: `start` inclusive, `stop` exclusive, both in bytes."""

    start: int
    stop: int
    whole: bool

    @property
    def length(self) -> int:
        """Bytes to send."""
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """The Content-Range field of a partial answer."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def slice_of(header: str | None, size: int) -> Slice:
    """What to send of `size` bytes. A header that is not one plain byte range is ignored, as RFC 9110 section 14.2 lets a
    server do: several ranges in one answer help nobody here and have been used to exhaust servers.

    Raises RangeOutsideFile.
    """
    found = _ONE_RANGE.fullmatch(header) if header else None
    if not found or not (found[1] or found[2]):
        return Slice(0, size, whole=True)
    if not found[1]:
        return _last(int(found[2]), size)
    start = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if last < start and found[2]:
        return Slice(0, size, whole=True)
    if start >= size:
        raise RangeOutsideFile(size)
    return Slice(start, min(last + 1, size), whole=False)


def _last(length: int, size: int) -> Slice:
    if length == 0 or size == 0:
        raise RangeOutsideFile(size)
    return Slice(max(size - length, 0), size, whole=False)
