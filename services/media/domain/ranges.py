"""Byte ranges of a download (RFC 9110 section 14)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from libs.common.errors import RangeNotSatisfiable
from services.media.domain.storage import CHUNK_BYTES
from services.media.domain.transfers import Transfer

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


class FileSlice:
    """The bytes of a slice in pieces. Closes the file when all are sent, the client is gone, or nobody asks for them."""

    def __init__(self, file: BinaryIO, part: Slice, transfer: Transfer) -> None:
        self._file = file
        self._part = part
        self._transfer = transfer

    def __iter__(self) -> Iterator[bytes]:
        try:
            self._file.seek(self._part.start)
            left = self._part.length
            while left and (piece := self._file.read(min(left, CHUNK_BYTES))):
                left -= len(piece)
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file; the web server calls this at the end of the answer, whatever the end was."""
        self._file.close()
        self._transfer.end()

    def __del__(self) -> None:
        # The answer to a HEAD request is dropped without being read or closed.
        self.close()
