"""Where a policy may be read from: the manifests here, a folder, a revision of the repository, the release in force."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from gateway import rules
from gateway.compiler import POLICY_FILE
from gateway.folder import Folder
from gateway.manifest import ROOT, Manifest, ManifestError, manifest_paths, read_written

HERE = "here"
"""The manifests that stand in this repository now."""
IN_FORCE = "in-force"
"""What the gateway's present release was compiled from."""
GIT_SECONDS = 30


class PolicyUnknown(Exception):
    """Nothing of this name can be read as a policy; the message says what can."""


def policy_of(source: str, folder: Folder | None = None, root: Path = ROOT) -> tuple[Manifest, ...]:
    """The manifests that a source names. Raises PolicyUnknown, ManifestError."""
    if source == HERE:
        return rules.declared(manifest_paths(root))
    if source == IN_FORCE:
        return in_force(folder)
    if Path(source).is_dir():
        return of_folder(Path(source))
    return of_revision(source, root)


def in_force(folder: Folder | None) -> tuple[Manifest, ...]:
    """What the release in force was compiled from. Raises PolicyUnknown, ManifestError."""
    path = folder.current / POLICY_FILE if folder else None
    if path is None or not path.exists():
        raise PolicyUnknown("no release is in force here yet: start the gateway, or name a folder or a revision instead")
    return read_written(path.read_bytes())


def of_folder(folder: Path) -> tuple[Manifest, ...]:
    """A repository, or a folder that holds one folder a service. Raises PolicyUnknown, ManifestError."""
    found = sorted({*folder.glob("*/policy.json"), *folder.glob("services/*/policy.json")})
    if not found:
        raise PolicyUnknown(f"{folder} holds no manifest: neither <service>/policy.json nor services/<service>/policy.json")
    return rules.declared(found)


def of_revision(revision: str, root: Path = ROOT) -> tuple[Manifest, ...]:
    """The manifests of a commit, tag or branch. Raises PolicyUnknown, ManifestError."""
    listed = (
        _git(root, "ls-tree", "-r", "--name-only", "--end-of-options", revision, "--", "gateway", "services")
        .decode()
        .splitlines()
    )
    names = [name for name in listed if name.endswith("/policy.json")]
    with tempfile.TemporaryDirectory() as place:
        paths = []
        for name in names:
            path = Path(place) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_git(root, "cat-file", "blob", f"{revision}:{name}"))
            paths.append(path)
        try:
            return rules.declared(paths)
        except ManifestError as error:
            raise PolicyUnknown(f"the manifests of {revision} cannot be read by this version:\n{error}") from None


def _git(root: Path, *arguments: str) -> bytes:
    program = shutil.which("git")
    if program is None:
        raise PolicyUnknown(f"there is no git here to ask for a revision: name a folder, {HERE} or {IN_FORCE}")
    done = subprocess.run([program, "-C", str(root), *arguments], capture_output=True, timeout=GIT_SECONDS, check=False)
    if done.returncode != 0:
        raise PolicyUnknown(f"neither a folder nor a revision: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout
