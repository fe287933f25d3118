"""One gateway whole: what it must refuse at once, and the configuration that it compiles, puts in force and reloads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway import haproxy, rules
from gateway.certificates import expiries
from gateway.compiler import compile_configuration
from gateway.containment import KEY_SET_FILE
from gateway.current import KeptCurrent, KeySetRefused
from gateway.door import Door
from gateway.dry_run import DryRun
from gateway.keys import VerificationKey, readable_keys, verification_keys
from gateway.manifest import Manifest, ManifestError
from gateway.peers import Peers
from libs.common import clock
from libs.common.telemetry import logger

log = logger(__name__)


class Gateway(KeptCurrent):
    """A gateway that is compiled in this process."""

    @property
    def keys(self) -> tuple[VerificationKey, ...]:
        """The keys to put in force."""
        return readable_keys(self.key_set)

    def _put_in_force(self, key_set: Mapping[str, Any] | None) -> bool:
        with self.folder.locked():
            if key_set is not None:
                _refuse(key_set)
                self.folder.write_state(KEY_SET_FILE, json.dumps(key_set).encode())
            read = rules.declared(self._manifests())
            self.read_anew()  # another process may have withdrawn a key
            self.expiries = expiries(map(Path, self._door.certificates))
            door = replace(self._door, certificates_digest=self._certificates_digest(), peers=self._peers())
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

    def _peers(self) -> Peers | None:
        """The others where they stand now."""
        given = self._door.peers
        return None if given is None else Peers(given.own, self._whereabouts.now(given))

    def _certificates_digest(self) -> str:
        """Empty when there are none; a file that is missing is HAProxy's to complain about."""
        contents = [path.read_bytes() for path in map(Path, self._door.watched) if path.exists()]
        return sha256(b"\0".join(contents)).hexdigest() if contents else ""


def _refuse(key_set: Mapping[str, Any]) -> None:
    """Raise KeySetRefused for what is no key set."""
    try:
        verification_keys(key_set)
    except ValueError as error:
        raise KeySetRefused(str(error)) from None
