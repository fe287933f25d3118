"""Opaque list positions: the sort key of the last item shown."""

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from libs.common.errors import Fault, Invalid


def encode_cursor(position: tuple[Any, ...]) -> str:
    """A position as an opaque URL-safe text."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).rstrip(b"=").decode()


def decode_cursor(text: str, types: tuple[type, ...]) -> tuple[Any, ...]:
    """The position back. Raises Invalid for anything that `encode_cursor` did not make."""
    try:
        values = orjson.loads(base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError(text)
        return tuple(_convert(value, kind) for value, kind in zip(values, types, strict=True))
    except (ValueError, TypeError, AttributeError, binascii.Error):
        fault = Fault("/query/cursor", "is not a cursor of this list; begin again without one")
        raise Invalid([fault]) from None


def _convert(value: Any, kind: type) -> Any:
    if kind is UUID:
        return UUID(value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise TypeError(kind)
    return value
