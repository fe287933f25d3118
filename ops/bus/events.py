"""`lumiere events`: what travels on the bus, and where one stands."""

import click

from ops.bus import standing, tail


@click.group(name="events")
def group() -> None:
    """Events: follow them live, and see where one stands."""


group.add_command(tail.tail)
group.add_command(standing.show)
group.add_command(standing.list_events, "list")
