"""`python -m gateway run | control`, and every command of `lumiere gateway`."""

import os
import sys
from collections.abc import Mapping

import click
import structlog

from gateway import haproxy
from gateway.door import TargetError
from gateway.folder import Folder
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError
from gateway.settings import FolderSettings, GatewaySettings
from libs.common.config import ConfigurationError, load
from libs.common.telemetry import configure_logs


class Entrance(click.Group):
    """Operators' commands are loaded when one is asked for: the processes that stay have no use for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *_operators_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or None."""
        return super().get_command(ctx, cmd_name) or _operators_commands().get(cmd_name)


def _operators_commands() -> Mapping[str, click.Command]:
    from gateway import containment_commands, policy_commands

    return {**containment_commands.COMMANDS, **policy_commands.COMMANDS}


@click.group(cls=Entrance)
@click.pass_context
def main(context: click.Context) -> None:
    """The entrance of the platform."""
    # Until a command that logs says where: what is logged goes to standard error, so that `--json` stays clean.
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    context.obj = lambda: Folder(load(FolderSettings).gateway_folder)


@main.command()
def run() -> None:
    """Carry the traffic: HAProxy in the foreground, compiled first when it never was."""
    configure_logs("gateway", "run")
    settings = load(GatewaySettings)
    folder = Folder(settings.gateway_folder)
    if folder.current_release() is None:
        from gateway.state import Gateway

        Gateway(settings.door(), folder, settings.targets()).compile()
    command = haproxy.command_line(folder)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 — this process becomes HAProxy


@main.command()
def control() -> None:
    """Watch, fetch, listen and push while HAProxy carries the traffic."""
    from gateway.control import Control
    from gateway.heap import keep_small

    configure_logs("gateway", "control")
    keep_small()
    Control(load(GatewaySettings)).run()


@main.command("put-in-force", hidden=True)
@click.argument("handed", type=int)
def put_in_force(handed: int) -> None:
    """Compile for the control process, which hands over a file descriptor to read from."""
    from gateway.children import end_with_parent
    from gateway.put_in_force import main as work

    configure_logs("gateway", "put-in-force")
    end_with_parent(lambda: os._exit(1))  # at any moment: what is on disk is whole or not there
    sys.exit(work(load(GatewaySettings), handed))


@main.command(hidden=True)
@click.argument("idle_seconds", type=float)
@click.argument("handed", type=int)
def pages(idle_seconds: float, handed: int) -> None:
    """Serve the pages for the control process, which hands over a socket that listens, until nobody asked for so long."""
    from gateway.serving import serve

    configure_logs("gateway", "pages")
    serve(load(GatewaySettings), handed, idle_seconds)


if __name__ == "__main__":
    try:
        main()
    except (ManifestError, TargetError, HaproxyError, ConfigurationError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
