"""The gateway's limits as a page for people: every number, what it means, and what a class of requests may take."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from gateway import limits

HEAD = """# The gateway's limits

{generated}

Gateways that are named in `GATEWAY_PEERS` count the requests of a window together, as docs/cluster.md says; else each
counts alone: **N replicas permit N times** as many. What is under way at once each counts alone always. A reload keeps the
counts of a window when the process before it had run for five seconds; what is under way is counted anew. Outside
production one address may do {factor} times as much, because many people and programs share one there; what a subject may
do is never raised. Of an address only a hash is kept, under a key that is derived for each day from the gateway's secret:
replicas and restarts agree on it, and when the day is over it means nothing.

How the gateway refuses, and in which order, is told in [gateway.md](gateway.md#protection-and-limits).

## Classes

| class | {columns} | place in the queue |
|---|{rules}---:|
"""


def limits_page(generated: str) -> str:
    """The page. Columns and meanings are the docstrings in gateway/limits.py."""
    source = ast.parse(Path(limits.__file__).read_text(encoding="utf-8"))
    columns = [each.name for each in fields(limits.Limit)]
    meanings = dict(_documented(next(each for each in source.body if isinstance(each, ast.ClassDef) and each.name == "Limit")))
    page = HEAD.format(
        generated=generated,
        factor=limits.DEVELOPMENT_ADDRESS_FACTOR,
        columns=" | ".join(_column(each) for each in columns),
        rules="---:|" * len(columns),
    )
    rows = [
        f"| **{rate}** | {' | '.join(_number(getattr(limit, each)) for each in columns)} | {limits.priority(rate) + 1} |"
        for rate, limit in sorted(limits.LIMITS.items(), key=lambda item: (limits.priority(item[0]), item[0]))
    ]
    explained = [f"- **{_column(each)}**: {meanings[each]}" for each in columns]
    numbers = [f"| `{name}` | {_number(getattr(limits, name))} | {meaning} |" for name, meaning in _documented(source)]
    kept = [row for row in numbers if "`LIMITS`" not in row]
    return (
        page
        + "\n".join([*rows, "", *explained, "", "## Numbers", "", "| name | value | meaning |", "|---|---:|---|", *kept])
        + "\n"
    )


def _documented(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Each name that is followed by its meaning."""
    for statement, following in zip(node.body, node.body[1:], strict=False):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield target.id, " ".join(str(following.value.value).split())


def _column(name: str) -> str:
    return name.replace("_", " ")


def _number(value: object) -> str:
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
