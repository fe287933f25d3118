"""What the gateway knows and must not forget: compiles it, keeps it on disk, pushes it into the running HAProxy."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway import haproxy, rules
from gateway.compiler import Door, compile_configuration
from gateway.discovery import TargetSource
from gateway.folder import Folder
from gateway.haproxy import Haproxy, HaproxyAway
from gateway.keys import VerificationKey, verification_keys
from gateway.manifest import manifest_paths
from gateway.revocations import SESSIONS_FILE, SUBJECTS_FILE, Revocations, SessionRevoked, seconds
from libs.common import clock
from libs.common.auth.tokens import Claims
from libs.common.telemetry import logger

KEYS_FILE = "jwks.json"
log = logger(__name__)


class Gateway:
    """One gateway: its inputs, its folder, its HAProxy. Safe to call from several threads."""

    def __init__(
        self, door: Door, folder: Folder, targets: TargetSource, manifests: Callable[[], Iterable[Path]] = manifest_paths
    ) -> None:
        self.folder = folder
        self.haproxy = Haproxy(folder)
        self._door = door
        self._targets = targets
        self._manifests = manifests
        self._key_set: Mapping[str, Any] = json.loads(folder.read_state(KEYS_FILE) or b"{}")
        self._revocations = Revocations.parse(folder.read_state(SESSIONS_FILE), folder.read_state(SUBJECTS_FILE))
        self._lock = threading.RLock()
        self._compiling = threading.Lock()
        self._pushed_to: int | None = None

    # -- configuration

    def fingerprint(self) -> object:
        """Changes when an input on disk or the day does."""
        paths = [*self._manifests(), *map(Path, self._door.certificates)]
        return (
            clock.now().date(),
            self._targets.fingerprint(),
            [(path, stat.st_mtime_ns, stat.st_size) for path in paths if path.exists() for stat in [path.stat()]],
        )

    @property
    def key_set(self) -> Mapping[str, Any]:
        """Auth's key set as it was last seen."""
        return self._key_set

    @property
    def keys(self) -> tuple[VerificationKey, ...]:
        """The keys in force."""
        return verification_keys(self._key_set)

    def compile(self) -> bool:
        """Compile, let HAProxy check, put in force and reload. Returns whether anything changed.

        Raises ManifestError, TargetError, HaproxyError; then what was in force stays so.
        """
        with self._compiling, self.folder.locked():
            read = rules.declared(self._manifests())
            door = replace(self._door, certificates_digest=self._certificates_digest())
            files = compile_configuration(read, door, self.keys, self._targets.read(), clock.now().date())
            release = self.folder.stage(files)
            if release == self.folder.current_release():
                return False
            try:
                haproxy.validate(self.folder, release)
            except haproxy.HaproxyError:
                self.folder.discard(release)
                raise
            with self.haproxy.reloading():
                self.folder.promote(release)
        log.info("gateway.compiled", release=release, keys=len(self.keys), routes=sum(len(each.routes) for each in read))
        self.reconcile()
        return True

    def _certificates_digest(self) -> str:
        """Empty when there are none; a file that is missing is HAProxy's to complain about."""
        contents = [path.read_bytes() for path in map(Path, self._door.certificates) if path.exists()]
        return sha256(b"\0".join(contents)).hexdigest() if contents else ""

    # -- keys

    def take_keys(self, document: Mapping[str, Any]) -> bool:
        """Take over auth's key set; returns whether it changed. Raises what `compile` raises, ValueError for no key set."""
        if not isinstance(document.get("keys"), list):
            raise ValueError("a JWK Set holds a list `keys` (RFC 7517 section 5)")  # noqa: TRY004 — a fault of the answer
        with self._lock:
            if document == self._key_set:
                return False
            verification_keys(document)
            self._keep_keys(document)
        self.compile()
        return True

    def forget_key(self, key_id: str) -> None:
        """Stop trusting a key at once: in the running worker by its map, then by a configuration without it."""
        with self._lock:
            self._keep_keys({"keys": [key for key in self._key_set.get("keys", []) if key.get("kid") != key_id]})
        with suppress(HaproxyAway):  # its next start reads what is on disk
            self.haproxy.delete("maps/keys.map", key_id)
        self.compile()

    def _keep_keys(self, document: Mapping[str, Any]) -> None:
        self._key_set = document
        self.folder.write_state(KEYS_FILE, json.dumps(document).encode())

    # -- revocations

    def revoke(self, event: SessionRevoked) -> None:
        """Refuse a session, or a subject's tokens by age, from now on."""
        with self._lock:
            now = clock.epoch()
            if event.session_id is not None:
                if self._revocations.add_session(event.session_id, seconds(event.expires_at), now):
                    self._keep_revocations()
                    self._push(lambda: self.haproxy.add(f"../../state/{SESSIONS_FILE}", {str(event.session_id): "1"}))
            elif self._revocations.add_subject(event.user_id, seconds(event.not_before or clock.now())):
                self._keep_revocations()
                self._push(self._push_all)

    def take_revocations(self, document: Mapping[str, Any]) -> None:
        """Take over auth's list. Raises ValueError when it is no such list."""
        with self._lock:
            now = clock.epoch()
            changed = self._revocations.merge(document, now)
            expired = any(self._revocations.prune(now).values())
            if changed or expired:
                self._keep_revocations()
                self._push(self._push_all)

    def revoked(self, claims: Claims) -> bool:
        """Whether a token is withdrawn (the check of `libs.common.auth.tokens`, for the gateway's own pages)."""
        return str(claims.sid) in self._revocations.sessions or claims.iat < self._revocations.subjects.get(str(claims.sub), 0)

    def revocation_counts(self) -> dict[str, int]:
        """How many entries are in force."""
        return {"sessions": len(self._revocations.sessions), "subjects": len(self._revocations.subjects)}

    def reconcile(self) -> None:
        """A worker that we have not spoken to yet read its files at its start; entries made in that moment are pushed again."""
        with self._lock:
            worker = self.haproxy.worker()
            if worker is not None and worker != self._pushed_to:
                self._push(self._push_all)
                self._pushed_to = worker

    def _keep_revocations(self) -> None:
        for name, content in self._revocations.files().items():
            self.folder.write_state(name, content)

    def _push(self, push: Callable[[], None]) -> None:
        try:
            push()
        except HaproxyAway:
            self._pushed_to = None  # it reads the files when it starts

    def _push_all(self) -> None:
        self.haproxy.replace(
            f"../../state/{SESSIONS_FILE}", {key: str(until) for key, until in self._revocations.sessions.items()}
        )
        self.haproxy.replace(
            f"../../state/{SUBJECTS_FILE}", {key: str(moment) for key, moment in self._revocations.subjects.items()}
        )
