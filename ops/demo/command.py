"""`lumiere demo`."""

import sys
from pathlib import Path

import click

from ops import console
from ops.command_line import this_platform, told
from ops.console import err, out
from ops.demo.report import Report, StepFailed
from ops.demo.story import Access, Story
from ops.errors import OperationError
from ops.lifecycle import Platform
from ops.vault import Vault

ADMIN_EMAIL = "producer@studio.example"


def run(platform: Platform, *, as_json: bool, admin: tuple[str, Path] | None) -> int:
    """Start the platform if it is down, run the story through the gateway, report. Returns the exit code."""
    started = platform.up()
    if started.changed:
        err.print(f"The platform is up ({started.seconds:.1f} s).")
    report = Report(quiet=as_json)
    Story(access_to(platform, admin), report).run()
    if as_json:
        console.print_json(report.document())
    else:
        out.print(f"{report.passed} passed, {report.failed} failed", style="bold green" if not report.failed else "bold red")
        if report.failed:
            out.print("The story ends at the first failed step. `make status` and `make logs SERVICE=…` say more.")
    return int(report.failed > 0)


def access_to(platform: Platform, admin: tuple[str, Path] | None = None) -> Access:
    """What the story needs to know of this platform; `admin` is an administrator to use, and the file of their password."""
    layout = platform.layout
    if admin is None:
        email, password = ADMIN_EMAIL, Vault(layout.secrets).ensure("DEMO_ADMIN_PASSWORD")
    else:
        email, password = admin[0], admin[1].read_text(encoding="utf-8").rstrip("\n")

    def create_admin() -> str:
        try:
            return platform.create_admin(email, password)
        except OperationError as refusal:
            hint = "Give one of them with --admin EMAIL --admin-password-file FILE."
            raise StepFailed(f"{refusal} {refusal.details} {hint}") from refusal

    return Access(layout.origin, layout.mail, email, password, create_admin)


@click.command("demo")
@click.option("--admin", default=None, metavar="EMAIL", help="An administrator to use when two exist already.")
@click.option("--admin-password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Their password.")
@click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document on standard output.")
@told
def command(admin: str | None, admin_password_file: Path | None, as_json: bool) -> None:
    """Run the whole story through the gateway; start the platform if it is down."""
    if (admin is None) != (admin_password_file is None):
        raise click.UsageError("--admin and --admin-password-file go together.")
    given = (admin, admin_password_file) if admin is not None and admin_password_file is not None else None
    sys.exit(run(this_platform(), as_json=as_json, admin=given))
