"""The revocation list for auth's own processes: from its own tables, not over HTTP from itself."""

from collections.abc import Mapping
from typing import Any

from libs.common.db import Database
from services.auth.use_cases import revocations


class OwnRevocations:
    """Reads the list where it is kept."""

    def __init__(self, database: Database) -> None:
        """Take the service's database."""
        self._database = database

    def fetch(self) -> Mapping[str, Any]:
        """Return the list as `GET /internal/revocations` answers it."""
        with self._database.transaction() as tx:
            return revocations.current(tx)
