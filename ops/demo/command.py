"""`lumiere demo`."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from ops import compose, console
from ops.command_line import json_option, this_platform, told
from ops.console import err, out, step
from ops.containers import DEMO, Containers
from ops.demo.mailbox import Letters
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
    return tell(access_to(platform, admin), as_json=as_json, more="`make status` and `make logs SERVICE=…` say more.")


def run_in_containers(containers: Containers, secrets: Path, *, as_json: bool, admin: tuple[str, Path] | None) -> int:
    """The same against containers, with what stands in for outside providers. Returns the exit code."""
    compose.prepare(secrets)
    with step("The platform is up in containers"):
        containers.up()
    email, password = administrator(Vault(secrets), admin)
    create = partial(containers.create_admin, email, password)
    with containers.letters() as letters:
        access = access_of(containers.origin, letters, email, password, create)
        return tell(access, as_json=as_json, more="`docker compose -f deploy/compose.yml logs` says more.")


def tell(access: Access, *, as_json: bool, more: str) -> int:
    """Run the story and report; `more` says where to look when it fails. Returns the exit code."""
    report = Report(quiet=as_json)
    Story(access, report).run()
    if as_json:
        console.print_json(report.document())
    else:
        out.print(f"{report.passed} passed, {report.failed} failed", style="bold green" if not report.failed else "bold red")
        if report.failed:
            out.print(f"The story ends at the first failed step. {more}")
    return int(report.failed > 0)


def administrator(vault: Vault, given: tuple[str, Path] | None) -> tuple[str, str]:
    """Address and password of the story's administrator: those that were given, else of one of its own."""
    if given is None:
        return ADMIN_EMAIL, vault.ensure("DEMO_ADMIN_PASSWORD")
    return given[0], given[1].read_text(encoding="utf-8").rstrip("\n")


def access_to(platform: Platform, admin: tuple[str, Path] | None = None) -> Access:
    """What the story needs to know of this platform; `admin` is an administrator to use, and the file of their password."""
    layout = platform.layout
    email, password = administrator(Vault(layout.secrets), admin)
    return access_of(layout.origin, layout.mail, email, password, partial(platform.create_admin, email, password))


def access_of(origin: str, mail: Letters, email: str, password: str, create: Callable[[], str]) -> Access:
    """The same for a platform of any kind; `create` makes its administrator."""

    def create_admin() -> str:
        try:
            return create()
        except OperationError as refusal:
            hint = "Give one of them with --admin EMAIL --admin-password-file FILE."
            raise StepFailed(f"{refusal} {refusal.details} {hint}") from refusal

    return Access(origin, mail, email, password, create_admin)


@click.command("demo")
@click.option("--admin", default=None, metavar="EMAIL", help="An administrator to use when two exist already.")
@click.option("--admin-password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Their password.")
@click.option("--compose", "in_containers", is_flag=True, help="In containers: deploy/compose.yml with deploy/demo.yml.")
@compose.folder_option
@json_option
@told
def command(admin: str | None, admin_password_file: Path | None, in_containers: bool, folder: Path, as_json: bool) -> None:
    """Run the whole story through the gateway; start the platform if it is down."""
    if (admin is None) != (admin_password_file is None):
        raise click.UsageError("--admin and --admin-password-file go together.")
    given = (admin, admin_password_file) if admin is not None and admin_password_file is not None else None
    if in_containers:
        sys.exit(run_in_containers(Containers([DEMO]), folder, as_json=as_json, admin=given))
    sys.exit(run(this_platform(), as_json=as_json, admin=given))
