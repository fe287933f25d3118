"""The `lumiere` command."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import structlog
from rich.table import Table

from ops import compose, console, cron, keys, ledger, logs, signing_in
from ops import proof as proofs
from ops.backup import commands as backups
from ops.bus import dead, events, queues, replay, subscribers
from ops.cluster import command as cluster
from ops.command_line import json_option, this_platform, told
from ops.console import literal, out
from ops.demo import command as demos
from ops.doctor import command as doctors
from ops.errors import OperationError
from ops.gateway.group import group as gateway
from ops.images.group import group as images
from ops.incident import command as incidents
from ops.layout import scale_of
from ops.lifecycle import Started
from ops.observability.watchman import watchman
from ops.release.group import group as release
from ops.secrets import commands as secret_commands
from ops.top.command import top


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Run and look after the Lumière platform."""
    # What the kernel logs goes to standard error, so that `--json` stays clean.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


@main.command()
@click.option(
    "--scale", default=None, metavar='"tasks=2 tasks-worker=2"', help="Replicas by service and kind; others run once."
)
@json_option
@told
def up(scale: str | None, as_json: bool) -> None:
    """Start the platform, or verify that it is well."""
    chosen = this_platform()
    wanted = None if scale is None else scale_of(scale, chosen.layout.services)
    _report(chosen.up(wanted), as_json)


@main.command()
@click.argument("wanted", nargs=-1, required=True, metavar="SERVICE[-KIND]=N…")
@json_option
@told
def scale(wanted: tuple[str, ...], as_json: bool) -> None:
    """Run N replicas side by side, for example: lumiere scale tasks=3 tasks-worker=2."""
    chosen = this_platform()
    _report(chosen.scale(scale_of(" ".join(wanted), chosen.layout.services)), as_json)


def _report(started: Started, as_json: bool) -> None:
    if as_json:
        console.print_json(
            {
                "origin": started.origin,
                "processes": started.processes,
                "changed": started.changed,
                "seconds": round(started.seconds, 2),
            }
        )
        return
    verb = "is up" if started.changed else "is up already, all well"
    out.print(f"[bold green]Lumière {verb}[/]: {started.processes} processes, {started.seconds:.1f} s")
    out.print(f"  {started.origin}   [dim]next:[/] make demo · make status · make logs · make down")


@main.command()
@json_option
@told
def status(as_json: bool) -> None:
    """Name every process, its health and port. Exit code 1 when one is not well, 3 when nothing runs."""
    chosen = this_platform()
    conditions, restarts = chosen.conditions(), chosen.restarts()
    rows = [
        {
            "process": condition.program.name,
            "health": condition.word,
            "port": condition.program.port,
            "pid": condition.state.pid if condition.state else None,
            "uptime_seconds": condition.state.uptime_seconds if condition.state else None,
            "restarts": restarts.get(condition.program.name, 0),
        }
        for condition in conditions
    ]
    if supervisor := chosen.supervisor.pid():
        rows.append(
            {
                "process": "supervisor",
                "health": "healthy",
                "port": None,
                "pid": supervisor,
                "uptime_seconds": None,
                "restarts": chosen.supervisor_restarts(),
            }
        )
    if as_json:
        console.print_json({"origin": chosen.layout.origin, "state": str(chosen.layout.state), "processes": rows})
    elif rows:
        out.print(_table(rows))
    else:
        out.print("Nothing runs. Start it with `make up`.")
    sys.exit(3 if not rows else int(any(row["health"] != "healthy" for row in rows)))


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (
        ("PROCESS", "left"),
        ("HEALTH", "left"),
        ("PORT", "right"),
        ("PID", "right"),
        ("UPTIME", "right"),
        ("RESTARTS", "right"),
    ):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        colour = "green" if row["health"] == "healthy" else "red"
        uptime = "" if row["uptime_seconds"] is None else str(timedelta(seconds=row["uptime_seconds"]))
        table.add_row(
            row["process"],
            f"[{colour}]{row['health']}[/]",
            str(row["port"] or ""),
            str(row["pid"] or ""),
            uptime,
            str(row["restarts"]),
        )
    return table


@main.command(name="logs")
@click.argument("services", nargs=-1, metavar="[SERVICE…]")
@click.option("--follow/--no-follow", default=True, help="Keep showing what is written.")
@click.option("--lines", default=20, show_default=True, help="Lines of the past to show for each process.")
@told
def show_logs(services: tuple[str, ...], follow: bool, lines: int) -> None:
    """Show the logs of all processes, or of those whose name begins with SERVICE."""
    logs.show(this_platform().layout.logs, services, follow=follow, lines=lines)


@main.command()
@json_option
@told
def down(as_json: bool) -> None:
    """Stop everything; data are kept."""
    with console.step("Stopping the platform"):
        count = this_platform().down()
    if as_json:
        console.print_json({"stopped": count})
    else:
        out.print(f"{count} processes stopped; data are kept." if count else "Nothing ran.")


@main.command()
@json_option
@told
def clean(as_json: bool) -> None:
    """Stop everything and delete data, secrets, logs and mail of this platform."""
    chosen = this_platform()
    with console.step("Stopping the platform and deleting its state"):
        chosen.clean()
    if as_json:
        console.print_json({"removed": str(chosen.layout.state)})
    else:
        out.print(f"Removed {chosen.layout.state}")


@main.group()
def admin() -> None:
    """Administrators of the platform."""


@admin.command(name="create")
@click.argument("email")
@click.option(
    "--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read the password from this file."
)
@json_option
@told
def create_admin(email: str, password_file: Path | None, as_json: bool) -> None:
    """Make EMAIL an administrator. The password comes from --password-file, a pipe, or a prompt."""
    if password_file is not None:
        password = password_file.read_text(encoding="utf-8").rstrip("\n")
    elif sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise OperationError("No password was given. Pipe it in, or use --password-file.")
    answer = this_platform().create_admin(email, password)
    if as_json:
        console.print_json({"email": email, "answer": answer})
    else:
        out.print(literal(answer, lines=True) or f"{email} is an administrator.")


@admin.command(name="reset-factors")
@click.argument("email")
@json_option
@told
def reset_factors(email: str, as_json: bool) -> None:
    """Take every second factor of EMAIL away and end its sessions, for somebody who lost them all. They are told by mail."""
    answer = json.loads(this_platform().ask("auth", "factors", "reset", email, "--json"))
    if as_json:
        console.print_json(answer)
    else:
        out.print(f"The second factors of {literal(email)} are gone; the password alone opens the account again.")


main.add_command(proofs.command, "proof")
main.add_command(keys.group)
main.add_command(incidents.group)
for command in (signing_in.login, signing_in.logout, signing_in.whoami):
    main.add_command(command)
main.add_command(compose.command, "compose")
main.add_command(demos.command, "demo")
main.add_command(cluster.group)
main.add_command(doctors.doctor)
main.add_command(cron.cron)
main.add_command(watchman)
main.add_command(top)
main.add_command(events.group, "events")
main.add_command(queues.queues)
main.add_command(dead.group, "dead")
main.add_command(replay.replay)
main.add_command(gateway)
main.add_command(backups.group)
main.add_command(secret_commands.group)
main.add_command(ledger.group)
main.add_command(images)
main.add_command(release)
for command in subscribers.COMMANDS:
    events.group.add_command(command)


if __name__ == "__main__":
    main()
