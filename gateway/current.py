"""A gateway that is kept current: what it is made from, when that changes, and what came of the last change.

How a release is made and put in force is for the subclasses: `gateway.state` compiles in this process, `gateway.delegated` has
it done by another, so that a process which stays need not hold what only compiling takes.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.containment import Containment
from gateway.discovery import TargetSource
from gateway.door import Door
from gateway.dry_run import CANDIDATE_FILE
from gateway.folder import Folder
from gateway.manifest import manifest_paths
from gateway.peers import Whereabouts
from gateway.revocations import KEYS_FILE as WITHDRAWN_FILE
from libs.common import clock


class CompilationRefused(Exception):
    """What another process was to compile is not in force; the message says why."""


class KeySetRefused(ValueError):
    """What auth answered is no key set; the message says why."""


class KeptCurrent(Containment):
    """A gateway with its inputs: manifests, targets, keys. Safe to call from several threads."""

    def __init__(
        self, door: Door, folder: Folder, targets: TargetSource, manifests: Callable[[], Iterable[Path]] = manifest_paths
    ) -> None:
        super().__init__(folder)
        self._door = door
        self._targets = targets
        self._manifests = manifests
        self._whereabouts = Whereabouts()
        self.compiles: Counter[str] = Counter()
        """Compilations by outcome: `in_force`, `unchanged`, `refused`."""
        self.current = True
        """Whether the last compilation was not refused."""
        self.expiries: Mapping[str, float] = {}
        """Certificate file → the moment until which it holds, as of the last compilation."""

    def fingerprint(self) -> object:
        """Changes when an input on disk or the day does."""
        paths = [*self._manifests(), *map(Path, self._door.watched)]
        return (
            clock.now().date(),
            self._targets.fingerprint(),
            self._whereabouts.now(self._door.peers),
            self.folder.stamp(WITHDRAWN_FILE),
            self.folder.stamp(CANDIDATE_FILE),
            [(path, stat.st_mtime_ns, stat.st_size) for path in paths if path.exists() for stat in [path.stat()]],
        )

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys in force: those that the release knows and nobody withdrew."""
        known = self.folder.current / "maps" / "keys.map"
        lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
        return sorted({line.partition(" ")[0] for line in lines} - self.withdrawn_keys)

    def take_keys(self, document: Mapping[str, Any]) -> bool:
        """Take over auth's key set; returns whether it changed. Raises what `compile` raises."""
        if not isinstance(document.get("keys"), list):
            raise KeySetRefused("a JWK Set holds a list `keys` (RFC 7517 section 5)")
        if document == self.key_set_kept:
            return False
        self.compile(document)
        return True

    def compile(self, key_set: Mapping[str, Any] | None = None) -> bool:
        """Compile, let HAProxy check, put in force and reload; first take over auth's key set when there is another one.

        Returns whether anything changed. Raises ManifestError, TargetError, HaproxyError, CompilationRefused; then what was in
        force stays so. Raises KeySetRefused when the key set is none; then nothing was compiled.
        """
        try:
            changed = self._put_in_force(key_set)
        except KeySetRefused:
            raise
        except Exception:
            self.compiles["refused"] += 1
            self.current = False
            raise
        self.compiles["in_force" if changed else "unchanged"] += 1
        self.current = True
        return changed

    @abstractmethod
    def _put_in_force(self, key_set: Mapping[str, Any] | None) -> bool:
        """What `compile` says, once."""
