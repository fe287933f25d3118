"""Keeps secrets, tokens and e-mail addresses out of logs, traces and error reports."""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
DEPTH_LIMIT = 8

_SECRET_NAME = re.compile(
    r"passw|secret|token|authorization|cookie|otp|private|credential|api_?key|signing_?key|dsn|email|e_mail|recipient|display_name|address|(^|_)ip$",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(r"^(token_type|token_id|email_id|key_id|address_family)$")
_PATTERNS = (
    (re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*)?"), "[token]"),
    (re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"), "[email]"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "[credentials]"),
    (re.compile(r"(?i)\b(bearer|basic|dpop)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 [token]"),
    (re.compile(r"(?i)([?&](?:x-amz-)?(?:token|code|state|signature|key)=)[^&\s\"']+"), r"\1[token]"),
    # Those of providers and of age say by their beginning what they are.
    (
        re.compile(
            r"\b(?:[sr]k_(?:live|test)_|whsec_|re_[A-Za-z0-9]{8}_|sk-ant-|hvs\.|xox[a-z]-)[A-Za-z0-9_+/=-]{8,}"
            r"|\bAGE-SECRET-KEY-1[A-Za-z0-9]+|(?<=hooks\.slack\.com/services/)[^\s\"']+"
        ),
        "[token]",
    ),
    (re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "[token]"),  # our own 256-bit tokens
)


class Shown(str):
    """A text that a log shows on purpose, whatever it looks like. Only a developer's own machine may make one."""

    __slots__ = ()


def redact_text(text: str) -> str:
    """The text with everything that looks like a token, credential or e-mail address replaced."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, name: str = "", depth: int = 0) -> Any:
    """The value with secrets replaced: by the name of the member, and by what the text looks like."""
    if isinstance(value, Shown):
        return value
    if name and _SECRET_NAME.search(name) and not _HARMLESS_NAME.match(name):
        return REDACTED if value not in (None, "", False, True) else value
    if depth > DEPTH_LIMIT:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(key): redact(item, str(key), depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, "", depth + 1) for item in value]
    if isinstance(value, int | float | bool) or value is None:
        return value
    return redact_text(str(value))
