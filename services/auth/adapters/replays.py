"""What was used once: in the kernel's own table, beside the proofs that come with access tokens."""

from datetime import datetime

from libs.common.auth.dpop import Proof
from libs.common.db import Database, kernel_tables
from libs.common.http import proofs


class KernelReplays:
    """Remembers in the service's schema."""

    def __init__(self, database: Database) -> None:
        """Take the service's database."""
        self._database = database
        self._tables = kernel_tables(database.metadata)

    def spend(self, digest: bytes, forgotten_at: datetime) -> bool:
        """Use it up; whether it was new."""
        return proofs.spend(self._database, self._tables, Proof(digest, "", forgotten_at))
