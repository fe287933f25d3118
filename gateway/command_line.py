"""What every command of a gateway shares, whether `lumiere gateway` or `python -m gateway` runs it."""

from collections.abc import Callable

import click

from gateway.folder import Folder

Place = Callable[[], Folder]
"""Finds the gateway's folder; what `obj` of the context must be."""

json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document on standard output.")
