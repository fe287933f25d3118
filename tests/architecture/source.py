"""The Python source of the repository, parsed once, and how a rule reports."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("libs", "services", "gateway", "ops", "tests", "bench", "deploy")


@dataclass(frozen=True)
class Source:
    """One file of Python."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        """Whether it is there for tests only."""
        return "tests" in self.path.parts or "testing" in self.path.parts or self.path.stem in {"conftest", "testing"}

    def within(self, *folders: str) -> bool:
        """Whether it is one of these files or stands below one of these folders."""
        return any(self.path == PurePosixPath(each) or PurePosixPath(each) in self.path.parents for each in folders)


Rule = Callable[[Source], Iterator[str]]


def parse(text: str, path: str) -> Source:
    """A source from its text."""
    return Source(PurePosixPath(path), text, ast.parse(text, path))


@cache
def repository() -> tuple[Source, ...]:
    """Every Python file of the repository."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if "__pycache__" not in path.parts]
    return tuple(parse(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) for path in files)


def violations(rule: Rule, sources: tuple[Source, ...] | None = None) -> list[str]:
    """Where the rule is broken."""
    return [f"{source.path}:{found}" for source in sources or repository() for found in rule(source)]


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called, as far as it is one."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of names; an inner expression becomes `()`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "()"


def imported(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Every imported name in full: `module` or `module.name`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)
