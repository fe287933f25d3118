"""`python -m gateway run | control`, and every command of `lumiere gateway`."""

import os
import sys

import click
import structlog

from gateway import containment_commands, haproxy, policy_commands
from gateway.compiler import TargetError
from gateway.folder import Folder
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError
from gateway.settings import FolderSettings, GatewaySettings
from gateway.state import Gateway
from libs.common.config import ConfigurationError, load
from libs.common.telemetry import configure_logs


@click.group()
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
    gateway = _gateway(load(GatewaySettings))
    if gateway.folder.current_release() is None:
        gateway.compile()
    command = haproxy.command_line(gateway.folder)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 — this process becomes HAProxy


@main.command()
def control() -> None:
    """Watch, fetch, listen and push while HAProxy carries the traffic."""
    from gateway.control import Control

    configure_logs("gateway", "control")
    Control(load(GatewaySettings)).run()


def _gateway(settings: GatewaySettings) -> Gateway:
    return Gateway(settings.door(), Folder(settings.gateway_folder), settings.targets())


for _command in (*containment_commands.COMMANDS.values(), *policy_commands.COMMANDS.values()):
    main.add_command(_command)


if __name__ == "__main__":
    try:
        main()
    except (ManifestError, TargetError, HaproxyError, ConfigurationError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
