"""A service on a database of its own for as long as it is measured, and Postgres without a service as its limit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, named like a function by its library

from libs.common.db.database import psycopg2_url
from libs.common.service import Service
from libs.common.testing import Harness

TRIVIAL_TABLE = "CREATE TABLE IF NOT EXISTS public.limit_row (id bigserial PRIMARY KEY, content bytea NOT NULL)"
TRIVIAL_INSERT = "INSERT INTO public.limit_row (content) VALUES (%s)"


@contextmanager
def harness(service: Service, environ: Mapping[str, str] | None = None) -> Iterator[Harness]:
    """The service, driven through its own doors; its database is dropped at the end."""
    made = Harness(service, environ or {})
    try:
        yield made
    finally:
        made.drop()


@contextmanager
def plain_postgres(made: Harness) -> Iterator[Connection]:
    """A bare connection to the same database, with a table that has no meaning. `with connection:` is one transaction."""
    opened = psycopg2.connect(**_arguments(made.superuser_url))
    try:
        with opened, opened.cursor() as cursor:
            cursor.execute(TRIVIAL_TABLE)
        yield opened
    finally:
        opened.close()


def _arguments(url: str) -> dict[str, Any]:
    return psycopg2_url(url).translate_connect_args(username="user", database="dbname")
