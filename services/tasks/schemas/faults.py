"""Faults that Pydantic found, as the problem document lists them."""

from pydantic import ValidationError

from libs.common.errors import Fault


def faults_of(error: ValidationError, base: str = "") -> list[Fault]:
    """Every fault with its JSON Pointer below `base`, and never the value."""
    listed = error.errors(include_input=False, include_url=False, include_context=False)
    return [
        Fault(base + "".join(f"/{part}" for part in item["loc"]), item["msg"].removeprefix("Value error, ")) for item in listed
    ]
