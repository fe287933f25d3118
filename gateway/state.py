"""One gateway whole: what it must refuse at once, and the configuration that it compiles, puts in force and reloads."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway import haproxy, rules
from gateway.compiler import Door, compile_configuration
from gateway.containment import Containment
from gateway.discovery import TargetSource
from gateway.dry_run import CANDIDATE_FILE, DryRun
from gateway.folder import Folder
from gateway.keys import VerificationKey, verification_keys
from gateway.manifest import Manifest, ManifestError, manifest_paths
from gateway.revocations import KEYS_FILE as WITHDRAWN_FILE
from libs.common import clock
from libs.common.telemetry import logger

KEY_SET_FILE = "jwks.json"
log = logger(__name__)


class Gateway(Containment):
    """A gateway with its inputs: manifests, targets, keys. Safe to call from several threads."""

    def __init__(
        self, door: Door, folder: Folder, targets: TargetSource, manifests: Callable[[], Iterable[Path]] = manifest_paths
    ) -> None:
        super().__init__(folder)
        self._door = door
        self._targets = targets
        self._manifests = manifests
        self._key_set: Mapping[str, Any] = json.loads(folder.read_state(KEY_SET_FILE) or b"{}")
        self._compiling = threading.Lock()
        self.compiles: Counter[str] = Counter()
        """Compilations by outcome: `in_force`, `unchanged`, `refused`."""
        self.current = True
        """Whether the last compilation was not refused."""

    # -- configuration

    def fingerprint(self) -> object:
        """Changes when an input on disk or the day does."""
        paths = [*self._manifests(), *map(Path, self._door.certificates)]
        return (
            clock.now().date(),
            self._targets.fingerprint(),
            self.folder.stamp(WITHDRAWN_FILE),
            self.folder.stamp(CANDIDATE_FILE),
            [(path, stat.st_mtime_ns, stat.st_size) for path in paths if path.exists() for stat in [path.stat()]],
        )

    @property
    def key_set(self) -> Mapping[str, Any]:
        """Auth's key set as it was last seen, without the keys that were withdrawn here."""
        withdrawn = self.withdrawn_keys
        return {"keys": [key for key in self._key_set.get("keys", []) if key.get("kid") not in withdrawn]}

    @property
    def keys(self) -> tuple[VerificationKey, ...]:
        """The keys in force."""
        return verification_keys(self.key_set)

    def compile(self) -> bool:
        """Compile, let HAProxy check, put in force and reload. Returns whether anything changed.

        Raises ManifestError, TargetError, HaproxyError; then what was in force stays so.
        """
        self.current = False
        outcome = "refused"
        try:
            changed = self._compile()
            outcome, self.current = ("in_force" if changed else "unchanged"), True
            return changed
        finally:
            self.compiles[outcome] += 1

    def _compile(self) -> bool:
        with self._compiling, self.folder.locked():
            read = rules.declared(self._manifests())
            with self._lock:
                self._take_over()  # another process may have withdrawn a key
            door = replace(self._door, certificates_digest=self._certificates_digest())
            files = self._files(read, door)
            release = self.folder.stage(files)
            if release == self.folder.current_release():
                return False
            try:
                haproxy.validate(self.folder, release)
            except haproxy.HaproxyError:
                self.folder.discard(release)
                raise
            with self.haproxy.reloading(files[haproxy.CONFIGURATION].decode()):
                self.folder.promote(release)
        log.info("gateway.compiled", release=release, keys=len(self.keys), routes=sum(len(each.routes) for each in read))
        self.reconcile()
        return True

    def _files(self, read: Sequence[Manifest], door: Door) -> Mapping[str, bytes]:
        """What is in force, and beside it what is tried; a candidate that must not be compiled is left out."""
        inputs = (read, door, self.keys, self._targets.read(), clock.now().date())
        trial = DryRun(self.folder).trial()
        if trial is None:
            return compile_configuration(*inputs)
        try:
            return compile_configuration(*inputs, trial.manifests)
        except ManifestError as error:
            log.warning("gateway.candidate.refused", reason=str(error))
        return compile_configuration(*inputs)

    @property
    def certificates(self) -> list[Path]:
        """The certificate files of its doors."""
        return list(map(Path, self._door.certificates))

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
        """Stop trusting a key at once and for good: in the running worker, then by a configuration without it."""
        self.withdraw_key(key_id)
        self.compile()

    def _keep_keys(self, document: Mapping[str, Any]) -> None:
        self._key_set = document
        self.folder.write_state(KEY_SET_FILE, json.dumps(document).encode())
