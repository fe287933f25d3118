"""The group `lumiere gateway`. What acts on a gateway's own folder stands in the gateway's package, loaded when called."""

import click


@click.group(name="gateway")
def group() -> None:
    """The gateway: what it would do with a request, and what it must refuse at once."""
