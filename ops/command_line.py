"""What every command shares: its options, its failures, the platform that it is about."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from libs.common.config import ConfigurationError
from ops.console import err, literal
from ops.errors import OperationError
from ops.layout import Layout
from ops.lifecycle import Platform
from ops.settings import platform_settings

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON document on standard output.")


def told(function: Callable[P, R]) -> Callable[P, R]:
    """Turn foreseen failures into a message and exit code 1."""

    @wraps(function)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        except (OperationError, ConfigurationError) as error:
            if details := getattr(error, "details", ""):
                err.print(f"[dim]{literal(details, lines=True)}[/]")
            err.print(f"[red]✗[/] {literal(error, lines=True)}")
            sys.exit(1)

    return wrapped


def this_platform() -> Platform:
    """The platform that the environment describes."""
    return Platform(Layout(platform_settings()))
