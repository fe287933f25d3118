"""The schema `auth`, and what its tables have in common."""

from collections.abc import Iterable

from sqlalchemy import CheckConstraint

from libs.common.db import new_metadata

metadata = new_metadata("auth")


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """Let a column hold one of these texts only."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
