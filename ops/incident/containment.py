"""Shutting the door at the gateway of this machine, with auth, broker and control process down."""

from typing import Final

from ops.errors import OperationError
from ops.layout import Layout

ELSEWHERE: Final = "docker compose -f deploy/compose.yml exec gateway python -m gateway maintenance on --reason"
REASON_MAX: Final = 500


def shut(layout: Layout, reason: str, by: str) -> str:
    """Say *on* for the operator. Returns what holds now, in words. Raises OperationError when no gateway is here to be told."""
    return _say(layout, "on", reason, by)


def leave_to_auth(layout: Layout, by: str) -> str:
    """Take the operator's word back: auth's flag counts again. Returns what holds now. Raises OperationError."""
    return _say(layout, "follow", None, by)


def _say(layout: Layout, word: str, reason: str | None, by: str) -> str:
    try:
        from gateway.containment import Containment, map_of
        from gateway.folder import Folder
        from gateway.haproxy import HaproxyAway, HaproxyError
        from gateway.maintenance import MAINTENANCE_FILE, SCOPE, Word
    except ModuleNotFoundError:
        raise OperationError(f"There is no gateway in this container. Shut it in its own: {ELSEWHERE} …") from None
    if not layout.gateway_folder.exists():
        raise OperationError(f"No gateway has run here. Where it runs in containers: {ELSEWHERE} …")
    containment = Containment(Folder(layout.gateway_folder))
    try:
        try:
            containment.hear_operator(Word(word), reason[:REASON_MAX] if reason else None, by)
        finally:
            containment.note(by, f"maintenance {word}", reason=reason)
        shut_now = SCOPE in containment.haproxy.entries(map_of(MAINTENANCE_FILE))
    except HaproxyAway:
        return "no HAProxy runs here: it holds from the next start"
    except (HaproxyError, OSError) as error:
        raise OperationError(
            f"The gateway could not be told ({error}). `lumiere gateway maintenance status` says what holds."
        ) from None
    return "the door is shut" if shut_now else "the door is open"
