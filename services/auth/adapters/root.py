"""The root of all keys as this process holds it: read from its table when the first key is derived, and kept."""

from functools import cached_property

from libs.common.db import Database
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.use_cases.root import open_root


class KeptRoot(MasterSecret):
    """Opens the root once; whatever is derived from it raises SealedUnderAnotherSecret while AUTH_SECRET does not open it."""

    def __init__(self, database: Database, secrets: SealingSecrets) -> None:
        """Read nothing yet."""
        super().__init__(b"")
        self._database = database
        self._secrets = secrets

    @property
    def material(self) -> bytes:
        """The root."""
        return self._root

    @cached_property
    def _root(self) -> bytes:
        with self._database.transaction() as tx:
            return open_root(tx, self._secrets)
