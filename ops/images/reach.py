"""Which modules a program can come to import: ours as files, those of others by name. Standard library only.

Read from the source, so that what is imported late counts like everything else: an image that lacked it would fail late too.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OURS: Final = ("libs", "services", "gateway", "ops")


@dataclass(frozen=True)
class Reach:
    """Everything that the entries can import: files of ours, and names of others' modules as they stand in the imports."""

    files: frozenset[Path]
    outside: frozenset[str]


@dataclass(frozen=True)
class _Import:
    name: str
    for_types_only: bool


def reach(root: Path, entries: Iterable[str]) -> Reach:
    """Follow imports from modules of ours. Raises LookupError for an entry or an import of ours that has no file."""
    files: set[Path] = set()
    outside: set[str] = set()
    waiting, seen = list(entries), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = file_of(root, name)
        if path is None:
            raise LookupError(f"{name} is imported and is no module below {root}")
        if parent := name.rpartition(".")[0]:
            waiting.append(parent)
        if path.is_dir():
            continue
        files.add(path)
        for each in _imports(path, name):
            if each.name.partition(".")[0] in OURS:
                waiting.append(_module(root, each.name))
            elif not each.for_types_only:
                outside.add(each.name)
    return Reach(frozenset(files), frozenset(name for name in outside if name.partition(".")[0] not in sys.stdlib_module_names))


def file_of(root: Path, name: str) -> Path | None:
    """The file of a module; the folder of a package without one; None when there is neither."""
    place = root.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return place if place.is_dir() else None


def _module(root: Path, name: str) -> str:
    """`a.b.C` as written in an import → `a.b` when C is something inside it."""
    parent = name.rpartition(".")[0]
    return parent if file_of(root, name) is None and parent else name


def _imports(path: Path, module: str) -> Iterator[_Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    typed = {id(node) for branch in ast.walk(tree) if _is_for_types(branch) for node in ast.walk(branch)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise LookupError(f"{module} imports relatively, which nothing here does: write the whole name")
            names = [f"{node.module}.{each.name}" for each in node.names]
        else:
            continue
        yield from (_Import(name, id(node) in typed) for name in names)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
