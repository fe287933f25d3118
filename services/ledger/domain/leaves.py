"""What a leaf says of an event: `docs/proofs.md` is the reference. The form is final: a leaf, once hashed, cannot be mended."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import rfc8785

from services.ledger.domain.tiles import ENTRY_BYTES_MAX

# Where a request came through the machines says nothing of the fact.
LEFT_OUT = frozenset({"traceparent", "tracestate"})
LOG_SOURCE = "/services/ledger"
RESUMED = "ledger.log.resumed"

_SEALED = {"commitment", "sealed"}


class LeafError(ValueError):
    """The event has no canonical JSON form that fits a leaf; no retry can mend it."""


def is_logged(source: str, event_type: str = "") -> bool:
    """Whether such events become leaves. The log does not log itself: a leaf would beget a leaf without end.

    That it was restored is the exception: readers must find that in the log, and it happens once for each restoration.
    """
    return source != LOG_SOURCE or event_type == RESUMED


def archive_form(value: Any) -> Any:
    """An event as it arrived, without what is sealed for one reader: of a personal value its commitment alone remains."""
    if isinstance(value, Mapping):
        kept = {"commitment": value["commitment"]} if value.keys() == _SEALED else value
        return {name: archive_form(each) for name, each in kept.items()}
    if isinstance(value, list):
        return [archive_form(each) for each in value]
    return value


def leaf_of(event: Mapping[str, Any]) -> bytes:
    """The leaf of an event in archive form: its canonical JSON (RFC 8785), or that of its digest form when it is too long.

    Raises LeafError.
    """
    attributes = {name: value for name, value in event.items() if name not in LEFT_OUT}
    whole = _canonical(attributes)
    if len(whole) <= ENTRY_BYTES_MAX:
        return whole
    data = _canonical(attributes.pop("data", None))
    digest_form = _canonical({**attributes, "datasha256": sha256(data).hexdigest(), "datasize": len(data)})
    if len(digest_form) > ENTRY_BYTES_MAX:
        raise LeafError(f"the event's attributes alone exceed the {ENTRY_BYTES_MAX} bytes of a leaf; shorten them")
    return digest_form


def _canonical(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise LeafError(f"the event has no canonical JSON form: {type(error).__name__}") from None
