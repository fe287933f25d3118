"""What bytes are, found from the bytes alone and in one pass, whatever name or type they came under."""

import codecs
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import puremagic

from services.media.domain.kinds import TEXT_TYPES

HEAD_BYTES = 8192
"""Signatures stand within this; browsers look at no more than 1445 bytes."""
TAIL_BYTES = 22 + 65_535
"""A ZIP directory ends within this distance of the end: its record and the longest comment (APPNOTE.TXT 4.3.16)."""

# What one library of signatures calls by other names.
_SAME_TYPE = {
    "video/avi": "video/x-msvideo",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/x-flac": "audio/flac",
    "application/ogg": "audio/ogg",
}

# Brands of ISO base media files (ISO/IEC 14496-12 section 4.3) that players of MP4 take.
_MP4_BRANDS = frozenset({b"isom", b"mp41", b"mp42", b"avc1", b"dash", b"M4V ", b"MSNV", *(b"iso%d" % n for n in range(2, 10))})
_OTHER_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx "})

# The beginnings after which a browser takes text for a page or a drawing (WHATWG MIME Sniffing section 7.1).
_MARKUP_START = re.compile(
    r"[\ufeff\s]*<(?:!doctype|html|head|body|script|iframe|svg|h1|div|font|table|a|style|title|b|br|p|!--|\?xml|\?php)(?=[\s>/]|$)",
    re.IGNORECASE,
)
_MARKUP_INSIDE = re.compile(rb"<(?:!doctype\s+(?:html|svg)|html|script|svg|iframe|\?php)[\s>/]", re.IGNORECASE)
# All control characters but tab, line feed and carriage return.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SRT_START = re.compile(r"\ufeff?\s*\d+[ \t]*\r?\n\d{1,3}:\d\d:\d\d[,.]\d{1,3}[ \t]*-->[ \t]*\d{1,3}:\d\d:\d\d[,.]\d{1,3}")
_VTT_START = re.compile(r"\ufeff?WEBVTT(?:[ \t\r\n]|$)")


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a file."""

    size: int
    sha256: str
    is_declared_type: bool
    is_unambiguous: bool
    """False when the same bytes would also open as a page, a drawing, a document or an archive."""


class _TextCheck:
    """Follows text across chunks: valid UTF-8 (RFC 3629) and free of control characters."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.holds = True
        self.start = ""

    def feed(self, chunk: bytes, *, final: bool = False) -> None:
        if not self.holds:
            return
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self.holds = False
            return
        self.holds = _CONTROL.search(text) is None
        if len(self.start) < HEAD_BYTES:
            self.start += text[: HEAD_BYTES - len(self.start)]


def inspect(chunks: Iterable[bytes], declared_type: str) -> Inspection:
    """Measure, hash and recognise a file in one pass, holding only its head and tail."""
    digest, size, head, tail = hashlib.sha256(), 0, b"", b""
    text = _TextCheck() if declared_type in TEXT_TYPES else None
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        if len(head) < HEAD_BYTES:
            head += chunk[: HEAD_BYTES - len(head)]
        tail = chunk[-TAIL_BYTES:] if len(chunk) >= TAIL_BYTES else (tail + chunk)[-TAIL_BYTES:]
        if text:
            text.feed(chunk)
    if text:
        text.feed(b"", final=True)
        matches, clear = text.holds and _text_matches(text.start, declared_type), _MARKUP_START.match(text.start) is None
    else:
        matches, clear = declared_type in recognise(head), not _is_second_thing(head, declared_type)
    return Inspection(size, digest.hexdigest(), matches, clear and not _ends_as_archive(tail))


def recognise(head: bytes) -> frozenset[str]:
    """The media types that the first bytes of a binary file stand for; empty when they stand for none known here."""
    for rule in _RULES:
        found = rule(head)
        if found is not None:
            return found
    try:
        candidates = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return frozenset()
    surest = max(candidate.confidence for candidate in candidates)
    names = {candidate.mime_type for candidate in candidates if candidate.confidence == surest}
    return frozenset(_SAME_TYPE.get(name, name) for name in names if name)


def _text_matches(start: str, declared_type: str) -> bool:
    if declared_type == "text/vtt":
        return _VTT_START.match(start) is not None
    if declared_type in {"text/srt", "application/x-subrip"}:
        return _SRT_START.match(start) is not None
    return True


def _is_second_thing(head: bytes, declared_type: str) -> bool:
    """Markup that a browser could find, or a document that a reader would find up to 1024 bytes in (ISO 32000-1 annex H)."""
    hidden_document = b"%PDF-" in head[:1024] and declared_type != "application/pdf"
    return hidden_document or _MARKUP_INSIDE.search(head) is not None


def _ends_as_archive(tail: bytes) -> bool:
    """Whether a ZIP end record stands in the tail: then archive tools and Java open the file, whatever comes before."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        # Chance makes the four bytes once in 65,536 files; that the comment fits as well, less often.
        comment_length = int.from_bytes(tail[at + 20 : at + 22], "little")
        if at + 22 + comment_length <= len(tail):
            return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False


def _iso_base_media(head: bytes) -> frozenset[str] | None:
    if head[4:8] != b"ftyp":
        return None
    length = int.from_bytes(head[:4], "big")
    if length < 16 or length % 4 or length > len(head):
        return frozenset()
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, length, 4))}
    if major == b"qt  ":
        return frozenset({"video/quicktime"})
    return frozenset({"video/mp4"}) if brands & _MP4_BRANDS and major not in _OTHER_BRANDS else frozenset()


def _matroska(head: bytes) -> frozenset[str] | None:
    """WebM and Matroska share a signature; the DocType element (0x4282) tells them apart (RFC 8794 section 11.2.6)."""
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return frozenset({"video/webm"}) if b"\x42\x82\x84webm" in head[:64] else frozenset()


def _mpeg_audio(head: bytes) -> frozenset[str] | None:
    """An ID3v2 tag, or a frame header with layer III and no reserved value (ISO/IEC 11172-3 section 2.4.1.3)."""
    if head.startswith(b"ID3") and len(head) >= 10 and head[3] in {2, 3, 4}:
        return frozenset({"audio/mpeg"})
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    holds = version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3
    return frozenset({"audio/mpeg"}) if holds else None


_RULES: tuple[Callable[[bytes], frozenset[str] | None], ...] = (_iso_base_media, _matroska, _mpeg_audio)
