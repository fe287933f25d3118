"""No secret is committed; what merely looks like one stands in the baseline, reviewed.

`python -m ops.checks.secrets_scan --accept` writes the baseline anew; look at its difference before you commit it.
"""

import re
import subprocess
import sys
from pathlib import Path

import click

from ops.checks.files import tracked
from ops.settings import ROOT

BASELINE = ".secrets.baseline"
# Hashes of packages and of golden events are no secrets; the baseline cannot scan itself. The template is generated, and
# ops/tests/test_variables.py is stricter with it: every secret in it is empty or the placeholder.
LEFT_OUT = re.compile(r"(deploy/env\.template|requirements/.*\.lock|.*/golden/.*\.json|\.secrets\.baseline)$")
NOTHING_NEW = (0, 3)


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _scanned(root: Path) -> list[str]:
    return [str(path) for path in tracked(root) if not LEFT_OUT.match(str(path))]


def faults(root: Path = ROOT) -> str:
    """What the scanner says; empty when it finds nothing new."""
    names = _scanned(root)
    baseline = (root / BASELINE).read_bytes()
    command = [_tool("detect-secrets-hook"), "--baseline", BASELINE, *names]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    # The hook moves line numbers in the baseline; a check changes nothing.
    (root / BASELINE).write_bytes(baseline)
    if done.returncode in NOTHING_NEW:
        return ""
    places = re.findall(r"Secret Type: (.*)\nLocation: +(.*)", done.stdout)
    lines = [f"{place}: {kind}" for kind, place in places] or [(done.stdout + done.stderr).strip()]
    hint = "No secret? Say so beside it: `# pragma: allowlist secret`; or `python -m ops.checks.secrets_scan --accept`."
    return "\n".join([*lines, hint])


def accept(root: Path = ROOT) -> None:
    """Write the baseline anew from what stands in the repository now."""
    command = [_tool("detect-secrets"), "scan", *_scanned(root)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    (root / BASELINE).write_text(done.stdout, encoding="utf-8")


@click.command()
@click.option("--accept", "anew", is_flag=True, help="Take everything found now as reviewed.")
def main(anew: bool) -> None:
    """Look for secrets that are not in the baseline."""
    if anew:
        accept()
        click.echo(f"Look at `git diff {BASELINE}`, then `git add {BASELINE}`.")
        return
    if found := faults():
        raise click.ClickException(found)
    click.echo("Nothing beyond the reviewed baseline.")


if __name__ == "__main__":
    main()
