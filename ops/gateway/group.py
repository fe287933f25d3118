"""The group `lumiere gateway`. What acts on a gateway's own folder stands in the gateway's package, loaded when called."""

from importlib import import_module
from typing import Final, NoReturn

import click

from ops.command_line import this_platform, told
from ops.errors import OperationError

CONTAINMENT: Final = ("maintenance", "revoke", "withdraw-key")
ELSEWHERE: Final = "docker compose -f deploy/compose.yml exec gateway python -m gateway"


class Group(click.Group):
    """Also knows the commands that the gateway's own container answers to; containers of the services are without them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command by name."""
        return sorted({*super().list_commands(ctx), *CONTAINMENT})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command; None when there is none of this name."""
        if cmd_name not in CONTAINMENT:
            return super().get_command(ctx, cmd_name)
        try:
            commands = import_module("gateway.containment_commands").COMMANDS
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


@told
def _folder() -> object:
    from gateway.folder import Folder

    place = this_platform().layout.gateway_folder
    if not place.exists():
        raise OperationError(f"No gateway has run here yet: {place} is not there. `make up` starts one.")
    return Folder(place)
