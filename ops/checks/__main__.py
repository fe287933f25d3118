"""Run every check, show each with its time, and name all that failed: `python -m ops.checks [NAME…]`."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

import click
from rich.markup import escape

from ops import manifests
from ops.audit import licences
from ops.checks import addresses, evolution, locks, migrations, policy, secrets_scan
from ops.console import err, out
from ops.settings import ROOT

PACKAGES = ("libs", "services", "gateway", "ops", "tests", "bench", "conftest.py")
Check = Callable[[], str]


def _tool(*command: str) -> Check:
    """A check that is a program; its output when it fails, else nothing."""

    def run() -> str:
        done = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"

    return run


def _packages() -> list[str]:
    """What is there to be typed; a folder without a module would be an error to the type checker."""
    paths = [ROOT / name for name in PACKAGES]
    return [path.name for path in paths if path.is_file() or any(path.rglob("*.py"))]


def _checks() -> dict[str, Check]:
    return {
        "lint": _tool("ruff", "check", "--quiet", "."),
        "format": _tool("ruff", "format", "--check", "--quiet", "."),
        "types": _tool("mypy", "--no-error-summary", *_packages()),
        "imports": _tool("lint-imports", "--no-cache"),
        "secrets": secrets_scan.faults,
        "locks": locks.faults,
        "licences": licences.faults,
        "dockerfile": _tool("hadolint", "deploy/Dockerfile"),
        "generated": manifests.drift,
        "policy": policy.faults,
        "migrations": migrations.faults,
        "evolution": evolution.faults,
        "addresses": addresses.faults,
    }


def run(names: Sequence[str]) -> int:
    """Run the named checks; returns how many failed."""
    failed = []
    checks = _checks()
    for name in names:
        begun = monotonic()
        err.print(f"[dim]… {name}[/]", end="\r" if err.is_terminal else "\n")
        faults = checks[name]()
        mark = "[red]✗[/]" if faults else "[green]✓[/]"
        out.print(f"{mark} {name:<10} {monotonic() - begun:5.1f} s")
        if faults:
            failed.append(name)
            out.print(escape(faults))
    out.print(f"{len(names) - len(failed)} checks passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return len(failed)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(_checks())))
def main(names: tuple[str, ...]) -> None:
    """Run all checks, or those named."""
    sys.exit(min(1, run(names or list(_checks()))))


if __name__ == "__main__":
    main()
