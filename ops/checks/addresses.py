"""No file names a package registry or a path of somebody's machine: both work for one person only."""

import re
from pathlib import Path

from ops.checks.files import tracked
from ops.settings import ROOT

# Written in parts, so that this file passes its own check.
FORBIDDEN = {
    "a registry address": re.compile(
        r"(?:pyp[i]|pythonhoste[d]|deb\.debia[n]|registry\.npmj[s])\.(?:org|com)|https?://[\w.-]*/simple\b"
    ),
    "an index option": re.compile(
        r"(?<![\w-])--(?:extra-)?index-ur" + r"l\b|(?<![\w-])--find-lin" + r"ks\b|(?<![\w-])--trusted-hos" + r"t\b"
    ),
    "a machine path": re.compile(
        r"(?<![\w.])/(?:wor" + r"k|hom" + r"e/\w+|roo" + r"t|User" + r"s/\w+|opt/(?:wheel" + r"s|pyp" + r"i))/"
    ),
}
# Options that keep such addresses out of generated files have to be named.
ALLOWED = re.compile(r"--no-emit-[\w-]+")


def faults(root: Path = ROOT) -> str:
    """One line for every finding; empty when there is none."""
    found = []
    for path in tracked(root):
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not a text
        found += [f"{path}:{number}: {what}" for number, what in findings(text)]
    return "\n".join(found)


def findings(text: str) -> list[tuple[int, str]]:
    """Line numbers of a text with what stands there."""
    return [
        (number, what)
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FORBIDDEN.items()
        if pattern.search(ALLOWED.sub("", line))
    ]
