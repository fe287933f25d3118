"""`python -m gateway run | control | compile | check | maintenance | revoke | withdraw-key`."""

import os
import sys
import tempfile
from pathlib import Path

import click
import structlog

from gateway import haproxy, rules
from gateway.compiler import Door, TargetError, compile_configuration
from gateway.containment_commands import COMMANDS
from gateway.folder import Folder
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError, manifest_paths
from gateway.settings import FolderSettings, GatewaySettings
from gateway.state import Gateway
from libs.common import clock
from libs.common.config import ConfigurationError, load
from libs.common.ids import random_token
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


@main.command(name="compile")
def compile_command() -> None:
    """Compile once and, when HAProxy runs, reload it."""
    gateway = _gateway(load(GatewaySettings))
    changed = gateway.compile()
    click.echo(f"{gateway.folder.current_release()} {'in force' if changed else 'unchanged'}")


@main.command()
def check() -> None:
    """Compile the manifests without settings, keys or targets, and let HAProxy read the result."""
    manifests = rules.declared(manifest_paths())
    door = Door("http://127.0.0.1:8080", "lumiere", "production", "127.0.0.1", 8080, random_token().encode())
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_configuration(manifests, door, (), {}, clock.now().date())
        place = Folder(Path(folder))
        haproxy.validate(place, place.stage(compiled))
    routes = sum(len(each.routes) for each in manifests)
    click.echo(f"{len(manifests)} manifests, {routes} routes: valid")


def _gateway(settings: GatewaySettings) -> Gateway:
    return Gateway(settings.door(), Folder(settings.gateway_folder), settings.targets())


for _command in COMMANDS.values():
    main.add_command(_command)


if __name__ == "__main__":
    try:
        main()
    except (ManifestError, TargetError, HaproxyError, ConfigurationError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
