"""Documents that are made once and sent many times."""

import gzip
from dataclasses import dataclass
from hashlib import sha256

from flask import Request, Response

COMPRESSED_FROM = 1_024
"""Bytes below which compression saves nobody anything."""
TAG_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Published:
    """Bytes with their tag. A long text is kept compressed alone: who cannot read that gets it unpacked."""

    stored: bytes
    compressed: bool
    tag: str
    media_type: str
    cache_control: str
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, content: bytes, media_type: str, cache_control: str, headers: tuple[tuple[str, str], ...] = ()) -> "Published":
        """Prepare one document."""
        tag = sha256(content).hexdigest()[:TAG_LENGTH]
        packed = len(content) >= COMPRESSED_FROM
        stored = gzip.compress(content, mtime=0) if packed else content
        return cls(stored, packed, tag, media_type, cache_control, headers)

    @property
    def content(self) -> bytes:
        """The document itself."""
        return gzip.decompress(self.stored) if self.compressed else self.stored

    def answer(self, request: Request) -> Response:
        """The document, or 304 to whoever has it (RFC 9110 section 13.1.2)."""
        packed = self.compressed and request.accept_encodings.quality("gzip") > 0
        answer = Response(self.stored if packed else self.content, content_type=self.media_type, headers=list(self.headers))
        answer.headers["Cache-Control"] = self.cache_control
        if self.compressed:
            answer.vary.add("Accept-Encoding")
        if packed:
            answer.headers["Content-Encoding"] = "gzip"
        # Two encodings of one document are two representations, and have two tags (RFC 9110 section 8.8.3).
        answer.set_etag(f"{self.tag}-gzip" if packed else self.tag)
        answer.make_conditional(request)
        return answer
