"""Every dependency's licence lets us distribute the platform under Apache-2.0.

What is distributed (the runtime locks) must be permissive, or of a copyleft that stays with its own files or library. What only
builds, tests and measures is not distributed: there any licence will do that lets us run the program, as long as it names one.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from license_expression import ExpressionError, Licensing
from packaging.utils import canonicalize_name

from ops.audit.outcome import Outcome, failed, passed
from ops.checks.files import tracked
from ops.checks.locks import pins
from ops.settings import ROOT

NAME = "licences"
STATED = Path("requirements/licences.toml")
PERMISSIVE: Final = frozenset(
    {
        *("0BSD", "BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause", "LicenseRef-BSD", "MIT", "MIT-0", "MIT-CMU", "ISC", "HPND"),
        *("Apache-2.0", "PSF-2.0", "Python-2.0", "CNRI-Python", "ZPL-2.1", "Zlib", "BSL-1.0", "BlueOak-1.0.0"),
        *("Unlicense", "CC0-1.0"),
    }
)
WEAK_COPYLEFT: Final = frozenset({"MPL-2.0", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later"})
"""Binds the file or the library itself, which we use unmodified, by import, and pass on as its own package."""
DISTRIBUTED: Final = PERMISSIVE | WEAK_COPYLEFT
COPYLEFT: Final = frozenset(
    {"GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "EPL-2.0", "CC-BY-3.0", "CC-BY-4.0"}
)
TOOLS: Final = DISTRIBUTED | COPYLEFT

CLASSIFIERS: Final = {
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "BSD License": "LicenseRef-BSD",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zope Public License": "ZPL-2.1",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
}
SPOKEN: Final = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd": "LicenseRef-BSD",
    "bsd 2-clause license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "gpl-3.0": "GPL-3.0-only",
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
}
"""Words of the old free-text field, in lower case."""
IDENTIFIER: Final = re.compile(r"[A-Za-z0-9.+() -]{2,100}")

_LICENSING: Final = Licensing()


def allows(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression can be satisfied with allowed licences alone: all parts of AND, one part of OR.

    An exception (WITH) only ever permits more, so the licence before it decides. What cannot be read is not allowed.
    """
    try:
        parsed = _LICENSING.parse(re.sub(r"\s+WITH\s+[\w.-]+", "", expression))
    except ExpressionError:
        return False
    return parsed is not None and _satisfied(parsed, allowed)


def _satisfied(node: Any, allowed: frozenset[str]) -> bool:
    parts = [_satisfied(each, allowed) for each in getattr(node, "args", ())]
    if not parts:
        return str(node) in allowed
    return any(parts) if type(node).__name__ == "OR" else all(parts)


def declared(about: Any) -> str | None:
    """The licence that metadata name, as an SPDX expression: the field made for it, else classifiers, else free text."""
    if expression := about.get("License-Expression"):
        return str(expression)
    named = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier") or () if text.startswith("License ::")]
    known = [
        CLASSIFIERS.get(text, f"LicenseRef-{re.sub(r'[^A-Za-z0-9]+', '-', text)}") for text in named if text != "DFSG approved"
    ]
    free = str(about.get("License") or "").strip()
    if free and (not known or known == ["LicenseRef-BSD"]):
        first = free.splitlines()[0].strip()
        return SPOKEN.get(first.lower()) or (first if IDENTIFIER.fullmatch(first) and " " not in first else None)
    return " AND ".join(dict.fromkeys(known)) or None


@cache
def _stated(path: Path) -> Mapping[str, str]:
    """Licences that somebody read in the package itself, because its metadata name none that a program can read."""
    if not path.exists():
        return {}
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    return {canonicalize_name(name): entry["licence"] for name, entry in entries.items() if entry["because"]}


def python_faults(root: Path, locks: Mapping[Path, frozenset[str]], where: list[str] | None = None) -> list[str]:
    """Packages of these locks whose licence is not among those allowed for the lock; `where`: folders to look for them in."""
    stated = _stated(root / STATED)
    installed = metadata.distributions(path=where) if where is not None else metadata.distributions()
    abouts: dict[str, Any] = {canonicalize_name(each.metadata["Name"]): each.metadata for each in installed}
    found = list[str]()
    for lock, allowed in locks.items():
        for name in pins(root / lock):
            if name not in abouts:
                found.append(
                    f"{name} ({lock.name}): is not installed, so nothing says its licence; any target of make installs it"
                )
                continue
            expression = stated.get(name) or declared(abouts[name])
            if expression is None:
                found.append(f"{name} ({lock.name}): names no licence; read it in the package and say so in {STATED}")
            elif not allows(expression, allowed):
                found.append(f"{name} ({lock.name}): {expression} is not among the licences allowed there")
    return found


def npm_faults(root: Path) -> Iterator[str]:
    """Packages of npm's locks that name no licence under which we may run them; they are never distributed."""
    for path in tracked(root):
        if path.name != "package-lock.json":
            continue
        packages = json.loads((root / path).read_text(encoding="utf-8"))["packages"]
        for name, package in packages.items():
            expression = package.get("license")
            if name and not allows(str(expression), TOOLS):
                yield f"{name.rpartition('node_modules/')[2]} ({path}): {expression or 'names no licence'}"


def runtime_locks(root: Path) -> dict[Path, frozenset[str]]:
    """The locks of what is distributed: everything below requirements that is neither for developers nor a tool's own."""
    apart = {"dev", *(path.stem for path in (root / "requirements").glob("*.in"))}
    locks = [path for path in tracked(root) if path.suffix == ".lock" and path.parts[0] == "requirements"]
    return {path: DISTRIBUTED for path in locks if path.stem not in apart}


def faults(root: Path = ROOT) -> str:
    """One line for every dependency of the platform and of its developers that may not be used so; empty when there is none."""
    locks = {**runtime_locks(root), Path("requirements/dev.lock"): TOOLS}
    return "\n".join([*python_faults(root, locks), *npm_faults(root)])


def audit(root: Path, programs: Mapping[str, Path]) -> Outcome:
    """The same, and the audit's own programs: `programs` holds the environment's `bin` for each of their locks."""
    found = [line for line in faults(root).splitlines() if line]
    for name, place in programs.items():
        where = [str(path) for path in place.parent.glob("lib/python*/site-packages")]
        found += python_faults(root, {Path(f"requirements/{name}.lock"): TOOLS}, where)
    if found:
        return failed(NAME, found)
    count = len({pin for lock in [*runtime_locks(root), Path("requirements/dev.lock")] for pin in pins(root / lock).items()})
    return passed(NAME, f"{count} packages, all under licences that go with Apache-2.0")
