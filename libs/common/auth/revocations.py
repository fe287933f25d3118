"""What has been withdrawn before its time: sessions by id, and a subject's tokens by age.

Fed by broadcast, polled as the fallback.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from uuid import UUID

from libs.common import clock
from libs.common.auth.tokens import LEEWAY_SECONDS, LIFETIME_SECONDS, Claims


class Revocations:
    """The list as this process knows it. Entries fall out when no token could carry them any more."""

    def __init__(self) -> None:
        self._sessions: dict[UUID, float] = {}
        self._subjects: dict[UUID, float] = {}
        self._lock = Lock()
        self._synchronised = False

    @property
    def synchronised(self) -> bool:
        """Whether the list was read from auth at least once."""
        return self._synchronised

    def revoked(self, claims: Claims) -> bool:
        """Whether this session, or the subject's tokens of this age, are withdrawn."""
        return claims.sid in self._sessions or claims.iat < self._subjects.get(claims.sub, 0)

    def revoke_session(self, session_id: UUID, expires_at: float | None = None) -> None:
        """Refuse tokens of this session from now on."""
        with self._lock:
            self._add_session(session_id, expires_at or 0)
            self._prune()

    def revoke_subject(self, subject_id: UUID, not_before: float) -> None:
        """Refuse tokens of this subject that were issued before this moment (seconds since 1970)."""
        with self._lock:
            self._add_subject(subject_id, not_before)
            self._prune()

    def merge(self, document: Mapping[str, Any]) -> None:
        """Take over auth's list; what came by broadcast meanwhile stays."""
        with self._lock:
            for session_id, expires_at in document.get("sessions", {}).items():
                self._add_session(UUID(session_id), float(expires_at))
            for subject_id, not_before in document.get("subjects", {}).items():
                self._add_subject(UUID(subject_id), float(not_before))
            self._prune()
        self._synchronised = True

    def _add_session(self, session_id: UUID, expires_at: float) -> None:
        horizon = clock.epoch() + LIFETIME_SECONDS + LEEWAY_SECONDS
        self._sessions[session_id] = max(expires_at, horizon)

    def _add_subject(self, subject_id: UUID, not_before: float) -> None:
        self._subjects[subject_id] = max(not_before, self._subjects.get(subject_id, 0))

    def _prune(self) -> None:
        now = clock.epoch()
        oldest = now - LIFETIME_SECONDS - LEEWAY_SECONDS
        self._sessions = {key: until for key, until in self._sessions.items() if until > now}
        self._subjects = {key: moment for key, moment in self._subjects.items() if moment > oldest}


def poll(revocations: Revocations, fetch: Callable[[], Mapping[str, Any]]) -> bool:
    """Read auth's list once. Returns whether that worked; a failure leaves the list as it is."""
    try:
        revocations.merge(fetch())
    except Exception:  # noqa: BLE001 — auth away: what is known stays in force, the next poll comes soon
        return False
    return True
