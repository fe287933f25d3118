"""Every environment variable of the platform, as the settings classes declare it: the template for operators, and its page."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from libs.common.config import TEMPLATE_MARK, Settings, Variable, variables
from ops.settings import HANDED_ON, ROOT

OPERATOR = "lumiere"
"""The reader that is no process of the platform: the command, on the machine of whoever runs it."""
GATEWAY = "gateway"
BACKUP, RELEASE, VAULT, WATCHMAN = "backup", "release", "vault", "watchman"
EVERY_SERVICE = "every service"
TITLES = {
    GATEWAY: "the gateway",
    OPERATOR: "the command `lumiere`",
    BACKUP: "`lumiere backup`",
    RELEASE: "`lumiere release`",
    VAULT: "whatever is given a NAME_VAULT",
    WATCHMAN: "the watchman",
}
"""How readers that are no services are called."""
WIDTH = 118

TEMPLATE_HEAD = """\
# Every variable of the platform: what it is for, who reads it, and what is degraded without it.
# {notice}
#
# Copy this file, fill in what says {mark}, uncomment what you want otherwise, and never commit the copy: values are shared
# sealed (docs/secrets.md). Wherever NAME stands, NAME_FILE may name a file that holds the value, NAME_VAULT a place in Vault.
# Nothing starts while a value still says {mark}.
"""
PAGE_HEAD = """\
# Settings

{notice} The same as a file to fill in: [deploy/env.template](../deploy/env.template).

A setting is an environment variable. `NAME_FILE` may name a file that holds the value, `NAME_VAULT` a place in Vault
([secrets.md](secrets.md#from-vault)). Each is checked when a process starts: all faults are named at once, and no value is
ever shown. What is **bold** is required; `make up` and `lumiere compose prepare` generate those that are *secret* too.
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One variable, and those that read it in the same sense."""

    variable: Variable
    readers: tuple[str, ...]
    everywhere: bool
    """Whether every service is among them."""


def sections(classes: Mapping[str, type[Settings]]) -> dict[str, list[Reading]]:
    """What is read, by title: first what every service reads, then each reader's own. `classes`: reader → settings class."""
    services = [name for name in classes if name not in TITLES]
    found: dict[str, dict[str, list[str]]] = {}
    said: dict[tuple[str, str], Variable] = {}
    for reader, cls in classes.items():
        for variable in variables(cls):
            if reader == OPERATOR and variable.without == HANDED_ON["without"]:
                continue
            said.setdefault((variable.name, variable.purpose), variable)
            found.setdefault(variable.name, {}).setdefault(variable.purpose, []).append(reader)
    titled: dict[str, list[Reading]] = {EVERY_SERVICE: [], **{reader: [] for reader in classes}}
    for name, purposes in found.items():
        for purpose, readers in purposes.items():
            everywhere = set(services) <= set(readers)
            title = EVERY_SERVICE if everywhere else readers[0]
            titled[title].append(Reading(said[name, purpose], tuple(readers), everywhere))
    return {title: readings for title, readings in titled.items() if readings}


def template(classes: Mapping[str, type[Settings]], notice: str) -> str:
    """deploy/env.template: a variable a paragraph; required ones hold a placeholder, the others are commented out."""
    lines = [TEMPLATE_HEAD.format(notice=notice, mark=TEMPLATE_MARK)]
    seen: set[str] = set()
    for title, readings in sections(classes).items():
        lines += [f"# ---- {TITLES.get(title, title)}", ""]
        for reading in readings:
            lines += _paragraph(reading, repeated=reading.variable.name in seen)
            seen.add(reading.variable.name)
    return "\n".join(lines)


def _paragraph(reading: Reading, *, repeated: bool) -> Iterator[str]:
    variable = reading.variable
    yield from textwrap.wrap(f"{variable.purpose}.", WIDTH, initial_indent="# ", subsequent_indent="# ")
    kind = "Required" if variable.required else "Optional"
    told = f"{kind}{', secret' if variable.secret else ''}; read by {_readers(reading)}."
    yield from textwrap.wrap(told, WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield from textwrap.wrap(f"Without it: {_without(variable)}.", WIDTH, initial_indent="# ", subsequent_indent="# ")
    filled = variable.required and not repeated and VAULT not in reading.readers
    yield f"{variable.name}={TEMPLATE_MARK}" if filled else f"#{variable.name}={_default(variable)}"
    yield ""


def page(classes: Mapping[str, type[Settings]], notice: str) -> str:
    """docs/settings.md."""
    lines = [PAGE_HEAD.format(notice=notice)]
    for title, readings in sections(classes).items():
        lines += [
            f"## {title[:1].upper()}{title[1:]}",
            "",
            "| variable | purpose | default | without it | read by |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(reading) for reading in readings]
        lines.append("")
    return "\n".join(lines)


def _row(reading: Reading) -> str:
    variable = reading.variable
    name = f"**`{variable.name}`**" if variable.required else f"`{variable.name}`"
    default = f"`{_default(variable)}`" if _default(variable) else ""
    cells = (
        name + (" *secret*" if variable.secret else ""),
        variable.purpose,
        default,
        _without(variable),
        _readers(reading),
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text if text.startswith("`") else text.replace("|", r"\|").replace("<", r"\<")


def _readers(reading: Reading) -> str:
    services = [name for name in reading.readers if name not in TITLES]
    short = [EVERY_SERVICE] if reading.everywhere else services
    return ", ".join([*short, *(TITLES[name] for name in reading.readers if name in TITLES)])


def _without(variable: Variable) -> str:
    if variable.without:
        return variable.without
    return "the process does not start" if variable.required else "the default holds"


def _default(variable: Variable) -> str:
    """How the default would be written; empty for none, for secrets, and for what depends on where the platform stands."""
    default = variable.default
    if default is None or variable.secret or default == ():
        return ""
    return str(default.relative_to(ROOT) if isinstance(default, Path) and default.is_relative_to(ROOT) else default)
