"""The files that belong to the repository."""

import subprocess
from pathlib import Path

from ops.settings import ROOT


def tracked(root: Path = ROOT) -> list[Path]:
    """Files that git knows or would add, relative to the root, without those that are gone."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = sorted({name for name in listed.split("\0") if name})
    return [Path(name) for name in names if (root / name).is_file()]
