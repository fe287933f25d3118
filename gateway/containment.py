"""What one gateway refuses at once: on disk first, then in the running HAProxy. It needs its folder and nothing else.

Two processes do this, the control process and the operator's command, and neither waits for the other: whoever changes a file
reads it first, with the folder locked, and whoever finds that another wrote takes that over. So nobody's entry is lost.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from gateway.folder import Folder
from gateway.haproxy import Haproxy, HaproxyAway, HaproxyError
from gateway.maintenance import MAINTENANCE_FILE, SCOPE, Decision, Maintenance, Word
from gateway.revocations import KEY_ID, KEYS_FILE, SESSIONS_FILE, SUBJECTS_FILE, Revocations, SessionRevoked, seconds
from libs.common import clock
from libs.common.telemetry import logger

if TYPE_CHECKING:
    from libs.common.auth.tokens import Claims

KEY_SET_FILE = "jwks.json"
STATE_LOCK = "state.lock"
LOCK_SECONDS = 5.0
"""Files are locked for milliseconds; a process that hangs with the lock keeps nobody from refusing."""
ACTS_FILE = "acts.jsonl"
"""What operators did here and the log does not tell yet, a JSON document a line."""
FILES = (SESSIONS_FILE, SUBJECTS_FILE, KEYS_FILE, MAINTENANCE_FILE)

log = logger(__name__)


def map_of(file: str) -> str:
    """The name under which HAProxy knows a state file."""
    return f"../../state/{file}"


class Containment:
    """Revocations, withdrawn keys and maintenance of one gateway. Safe to call from several threads and processes."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.haproxy = Haproxy(folder)
        self._lock = threading.RLock()
        self._revocations = Revocations()
        self._maintenance = Maintenance()
        self._stamps: dict[str, object] = {}
        self._behind = True
        self._pushed_to: int | None = None
        self._take_over()

    # -- revocations

    def revoke(self, event: SessionRevoked) -> None:
        """Refuse a session, or a subject's tokens by age, from now on."""
        if event.session_id is not None:
            self.revoke_session(event.session_id, seconds(event.expires_at))
        else:
            self.revoke_subject(event.user_id, seconds(event.not_before or clock.now()))

    def revoke_session(self, session: UUID, until: int = 0) -> None:
        """Refuse tokens of a session until this second, and for as long as one could live in any case."""
        self._change(
            lambda: self._revocations.add_session(session, until, clock.epoch()),
            (SESSIONS_FILE,),
            lambda: self.haproxy.add(map_of(SESSIONS_FILE), {str(session): "1"}),
        )

    def revoke_subject(self, subject: UUID, not_before: int | None = None) -> None:
        """Refuse tokens of a subject that were issued before this second; None means until now."""
        before = ceil(clock.epoch()) if not_before is None else not_before
        self._change(lambda: self._revocations.add_subject(subject, before), (SUBJECTS_FILE,), self._push_all)

    def take_revocations(self, document: Mapping[str, Any]) -> None:
        """Take over auth's list. Raises ValueError when it is no such list."""

        def take() -> bool:
            now = clock.epoch()
            changed = self._revocations.merge(document, now)
            return any(self._revocations.prune(now).values()) or changed

        self._change(take, (SESSIONS_FILE, SUBJECTS_FILE), self._push_all)

    def withdraw_key(self, key_id: str) -> None:
        """Refuse tokens under a key from now on, whatever auth's key set says. Raises ValueError for what is no key id."""
        if not KEY_ID.match(key_id):
            raise ValueError("a key id is made of letters, digits, - and _")
        self._change(lambda: self._revocations.add_key(key_id, clock.epoch()), (KEYS_FILE,), self._push_all)

    def restore_key(self, key_id: str) -> bool:
        """Undo a withdrawal; returns whether there was one."""
        return self._change(lambda: self._revocations.keys.pop(key_id, None) is not None, (KEYS_FILE,), self._push_all)

    @property
    def withdrawn_keys(self) -> frozenset[str]:
        """Ids of keys that must not be trusted."""
        return frozenset(self._revocations.keys)

    @property
    def key_set_kept(self) -> Mapping[str, Any]:
        """Auth's key set as it was last seen; empty when it cannot be read: nobody is let in until auth tells it anew."""
        try:
            kept = json.loads(self.folder.read_state(KEY_SET_FILE) or b"{}")
        except ValueError:
            kept = None
        if isinstance(kept, dict):
            return kept
        log.warning("gateway.key_set.unreadable", file=KEY_SET_FILE)
        return {}

    @property
    def key_set(self) -> Mapping[str, Any]:
        """The same without the keys that were withdrawn here."""
        listed, withdrawn = self.key_set_kept.get("keys"), self.withdrawn_keys
        entries = listed if isinstance(listed, list) else []
        return {"keys": [key for key in entries if not (isinstance(key, dict) and key.get("kid") in withdrawn)]}

    def revoked(self, claims: "Claims") -> bool:
        """Whether a token is withdrawn (the check of `libs.common.auth.tokens`, for the gateway's own pages)."""
        return str(claims.sid) in self._revocations.sessions or claims.iat < self._revocations.subjects.get(str(claims.sub), 0)

    def revocation_counts(self) -> dict[str, int]:
        """How many entries are in force."""
        return {"sessions": len(self._revocations.sessions), "subjects": len(self._revocations.subjects)}

    # -- maintenance

    @property
    def maintenance(self) -> Maintenance:
        """Both words on maintenance as they are known here. Not to be changed by the caller."""
        return self._maintenance

    def hear_auth(self, decision: Decision, instead_of: int | None = None) -> None:
        """Take auth's word on maintenance, unless a newer one is known; see `Maintenance.hear_auth`."""
        self._decide(lambda: self._maintenance.hear_auth(decision, instead_of))

    def hear_operator(self, word: Word, reason: str | None, by: str) -> None:
        """Take an operator's word on maintenance, which counts before auth's until it is FOLLOW."""
        said = Decision(enabled=word is Word.ON, reason=reason, changed_by=by, changed_at=clock.now())
        self._decide(lambda: self._maintenance.hear_operator(None if word is Word.FOLLOW else said))

    def _decide(self, hear: Callable[[], bool]) -> None:
        if self._change(hear, (MAINTENANCE_FILE,), self._push_maintenance):
            log.info("gateway.maintenance", **self._maintenance.document())

    # -- what operators did

    def note(self, by: str, act: str, **details: str | None) -> None:
        """Keep what an operator did, for the log of the control process: the terminal that saw it is nobody's archive."""
        line = {"at": clock.now().isoformat(), "by": by, "act": act, **details}
        with self._lock, self.folder.locked(STATE_LOCK, LOCK_SECONDS):
            self.folder.append_state(ACTS_FILE, json.dumps(line).encode() + b"\n")

    def tell_acts(self) -> None:
        """Write what operators did into the log; twice rather than not at all."""
        if not self.folder.read_state(ACTS_FILE):
            return
        with self._lock, self.folder.locked(STATE_LOCK, LOCK_SECONDS):
            for line in self.folder.read_state(ACTS_FILE).splitlines():
                log.warning("gateway.operator_acted", **_act(line))
            self.folder.drop_state(ACTS_FILE)

    # -- disk and worker

    def read_anew(self) -> None:
        """Take over what other processes wrote, for who only asks."""
        with self._lock:
            self._take_over()

    def reconcile(self) -> None:
        """Push what the running worker may lack: what another process wrote, and everything to a worker that is new to us."""
        with self._lock:
            self._take_over()
            worker = self.haproxy.worker()
            if worker is not None and (self._behind or worker != self._pushed_to):
                self._pushed_to = worker
                self._push(self._push_all)

    def _change(self, change: Callable[[], bool], files: Sequence[str], push: Callable[[], None]) -> bool:
        """Take over what others wrote, change, keep it in `files`, push. Returns, like `change`, whether there is anything new.

        What cannot be written is pushed all the same: a full disk does not keep the running worker from refusing.
        """
        with self._lock:
            changed = False
            try:
                with self.folder.locked(STATE_LOCK, LOCK_SECONDS):
                    self._take_over()
                    changed = change()
                    if changed:
                        self._keep(files)
            finally:
                if changed:
                    self._push(push)
            return changed

    def _take_over(self) -> None:
        stamps = {name: self.folder.stamp(name) for name in FILES}
        if stamps != self._stamps:
            contents = {name: self.folder.read_state(name) for name in FILES}
            self._revocations = Revocations.parse(contents)
            self._maintenance = Maintenance.parse(contents[MAINTENANCE_FILE])
            self._stamps = stamps
            self._behind = True

    def _keep(self, names: Sequence[str]) -> None:
        contents = {**self._revocations.files(), MAINTENANCE_FILE: self._maintenance.file()}
        for name in names:
            self.folder.write_state(name, contents[name])
            self._stamps[name] = self.folder.stamp(name)

    def _push(self, push: Callable[[], None]) -> None:
        try:
            push()
        except HaproxyAway:
            self._pushed_to = None  # it reads the files when it starts
        except HaproxyError:
            self._behind = True
            raise

    def _push_all(self) -> None:
        with self.haproxy.exclusively():
            # Read with pushes locked: whoever wrote since then pushes after us, and what they add stays.
            self._take_over()
            self._behind = False
            kept = self._revocations
            for file, entries in ((SESSIONS_FILE, kept.sessions), (SUBJECTS_FILE, kept.subjects), (KEYS_FILE, kept.keys)):
                self.haproxy.replace(map_of(file), {key: str(value) for key, value in entries.items()})
            self._push_maintenance()

    def _push_maintenance(self) -> None:
        with self.haproxy.exclusively():
            self._take_over()
            self.haproxy.replace(map_of(MAINTENANCE_FILE), {SCOPE: "on"} if self._maintenance.enabled else {})


def _act(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:  # the machine stopped while it was written
        return {"unreadable": line.decode("utf-8", "replace")}
