"""File and line of what a manifest declares, for messages. Read only when something has to be said."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_SPACE = re.compile(r"[\s,]*")


def root_of(manifest: Path) -> Path:
    """The folder that sources are named from: `services/<name>/policy.json` and `gateway/policy.json` stand below it."""
    folder = manifest.parent.parent
    return folder.parent if folder.name == "services" else folder


def name_of(manifest: Path) -> str:
    """The manifest's own name, from that folder."""
    return manifest.relative_to(root_of(manifest)).as_posix()


def place_of(manifest: Path, number: int, source: str) -> str:
    """`file:line` of the declaration: of the handler when its source is there, else of the entry in the manifest."""
    file, _, handler = source.partition(":")
    name = name_of(manifest)
    if handler and not name.startswith("gateway/") and (line := _handler_line(root_of(manifest) / file, handler)):
        return f"{file}:{line}"
    lines = entry_lines(_text(manifest))
    return f"{name}:{lines[number]}" if number < len(lines) else name


def entry_lines(text: str) -> list[int]:
    """The line on which each entry of `routes` begins; none when the text is no such document."""
    try:
        return [text.count("\n", 0, start) + 1 for start in _entries(text)]
    except (ValueError, IndexError):
        return []


def refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook`: of two members of one name a reader sees the first, a parser the last. Raises ValueError."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"says {', '.join(twice)} more than once")
    return dict(pairs)


def repeated_members(text: str) -> list[tuple[int | None, str]]:
    """Which entries (None: the document itself) say something more than once, and what."""
    if _refused(lambda: json.loads(text, object_pairs_hook=refuse_repeated)) is None:
        return []
    decoder = json.JSONDecoder(object_pairs_hook=refuse_repeated)
    found: list[tuple[int | None, str]] = []
    for number, start in enumerate(_entries(text)):
        if fault := _refused(lambda start=start: decoder.raw_decode(text, start)):  # type: ignore[misc]
            found.append((number, fault))
    return found or [(None, _refused(lambda: json.loads(text, object_pairs_hook=refuse_repeated)) or "")]


def _refused(parse: Callable[[], Any]) -> str | None:
    try:
        parse()
    except ValueError as error:
        return str(error)
    return None


def _entries(text: str) -> Iterator[int]:
    """Offsets of the entries of the list `routes`. Raises ValueError."""
    decoder = json.JSONDecoder()
    position = _skip(text, _skip(text, 0) + 1)
    while text[position] != "}":
        name, position = decoder.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)
        if name == "routes" and text[position] == "[":
            position = _skip(text, position + 1)
            while text[position] != "]":
                yield position
                position = _skip(text, decoder.raw_decode(text, position)[1])
            return
        position = _skip(text, decoder.raw_decode(text, position)[1])


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _handler_line(path: Path, handler: str) -> int | None:
    """Where the decorators of a function begin: the first of them says who may."""
    if path.suffix != ".py":
        return None
    try:
        tree = ast.parse(_text(path))
    except SyntaxError:
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == handler:
            return min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
