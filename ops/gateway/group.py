"""The group `lumiere gateway`. What acts on a gateway's own folder stands in the gateway's package, loaded when called."""

from importlib import import_module
from typing import Final, NoReturn

import click

from libs.common.config import ConfigurationError
from ops.command_line import this_platform, told
from ops.errors import OperationError
from ops.lifecycle import Platform
from ops.plan import Plan

COMMANDS: Final = {
    **dict.fromkeys(("maintenance", "revoke", "withdraw-key"), "gateway.containment_commands"),
    **dict.fromkeys(("check", "compile", "diff", "dry-run", "explain", "routes"), "gateway.policy_commands"),
}
"""Command → the module of the gateway that has it."""
ENVIRONMENT: Final = "gateway.environment"
"""Where the gateway's commands look for a function that returns the environment of its processes."""
ELSEWHERE: Final = "docker compose -f deploy/compose.yml exec gateway python -m gateway"


class Group(click.Group):
    """Also knows the commands that the gateway's own container answers to; containers of the services are without them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command by name."""
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        try:
            commands = import_module(COMMANDS[cmd_name]).COMMANDS
        except ModuleNotFoundError:
            _absent(cmd_name)
        found: click.Command = commands[cmd_name]
        return found


@told
def _absent(name: str) -> NoReturn:
    raise OperationError(f"There is no gateway in this container. Ask it in its own: {ELSEWHERE} {name} …")


@click.group(name="gateway", cls=Group)
@click.pass_context
def group(context: click.Context) -> None:
    """The gateway: what it would do with a request, and what it must refuse at once."""
    context.obj = _folder
    context.meta[ENVIRONMENT] = _environment


def _folder() -> object:
    from gateway.folder import Folder

    place = _platform().layout.gateway_folder
    if not place.exists():
        raise click.ClickException(f"No gateway has run here yet: {place} is not there. `make up` starts one.")
    return Folder(place)


def _environment() -> dict[str, str]:
    _folder()
    return Plan(_platform().layout).environments.gateway()


def _platform() -> Platform:
    try:
        return this_platform()
    except (OperationError, ConfigurationError) as error:
        raise click.ClickException(str(error)) from None
