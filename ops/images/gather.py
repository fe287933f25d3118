"""`python -m ops.images.gather NAME FOLDER`: put what belongs into one image below FOLDER. Runs while images are built.

Standard library only: nothing is installed in that stage.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.images.contents import images

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Everybody may read, nobody but root may write; what a builder's umask was does not matter."""


def gather(name: str, target: Path, root: Path) -> int:
    """Copy the image's files; returns how many. Raises LookupError when there is no such image."""
    known = images(root)
    if name not in known:
        raise LookupError(f"There is no image {name}: build with --build-arg SERVICE=one of {', '.join(known)}.")
    files = known[name].files
    for file in files:
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, place)
        place.chmod(FILE_MODE)
        for folder in place.relative_to(target).parents:
            (target / folder).chmod(FOLDER_MODE)
    return len(files)


def main(arguments: Sequence[str]) -> int:
    """Exit code 2 for arguments that make no sense."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m ops.images.gather NAME FOLDER\n")
        return 2
    try:
        count = gather(arguments[0], Path(arguments[1]), Path.cwd())
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{count} files of {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
