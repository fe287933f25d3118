"""Categories, the media types that each takes, and the limits of a declaration."""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

SIZE_MAX = 500 * 1024 * 1024
"""Bytes of one file, the same for every category."""
SIZE_MIN = 1
"""An empty file proves nothing and is always a mistake."""
FILENAME_MAX = 255
"""Characters: what common file systems can give back."""


class Category(StrEnum):
    """What a file is for the studio; decides which media types are taken."""

    VIDEO = "VIDEO"
    IMAGE = "IMAGE"
    DOCUMENT = "DOCUMENT"
    SUBTITLE = "SUBTITLE"
    AUDIO = "AUDIO"


MEDIA_TYPES: Mapping[Category, frozenset[str]] = MappingProxyType(
    {
        Category.VIDEO: frozenset({"video/mp4", "video/webm", "video/quicktime", "video/x-msvideo"}),
        Category.IMAGE: frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"}),
        Category.DOCUMENT: frozenset({"application/pdf", "text/plain", "text/markdown"}),
        Category.SUBTITLE: frozenset({"text/vtt", "text/srt", "application/x-subrip", "text/plain"}),
        Category.AUDIO: frozenset({"audio/mpeg", "audio/wav", "audio/ogg", "audio/flac"}),
    }
)
ALL_MEDIA_TYPES: tuple[str, ...] = tuple(sorted(frozenset().union(*MEDIA_TYPES.values())))
TEXT_TYPES = frozenset({"text/plain", "text/markdown", "text/vtt", "text/srt", "application/x-subrip"})

# Right-to-left overrides and their kin make `exe.gpj` read as `jpg.exe`: they have no place in a name.
_BIDIRECTIONAL_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c")


def is_taken(category: Category, media_type: str) -> bool:
    """Whether the category takes the media type (lower case, without parameters)."""
    return media_type in MEDIA_TYPES[category]


def filename_fault(filename: str) -> str | None:
    """What is wrong with a name shown to people, or None. A name never becomes a path: this only keeps it honest."""
    if not filename.strip():
        return "Give the file a name."
    if len(filename) > FILENAME_MAX:
        return f"Use at most {FILENAME_MAX} characters."
    if filename in {".", ".."} or "/" in filename or "\\" in filename:
        return "Give the name alone, without a path."
    if any(_is_deceptive(character) for character in filename):
        return "Leave out control characters and text direction marks."
    return None


def _is_deceptive(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDIRECTIONAL_CONTROLS
