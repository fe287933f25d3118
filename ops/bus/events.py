"""`lumiere events`: what travels on the bus, and who listens."""

import click


@click.group(name="events")
def group() -> None:
    """Events: follow them live, and see where one stands."""
