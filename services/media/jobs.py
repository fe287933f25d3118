"""Due work: uploads that never came and bytes that nobody needs."""

from libs.common.db import Database, Transaction
from libs.common.jobs import every
from services.media import use_cases
from services.media.domain.storage import Storage


@every(minutes=5)
def expire_uploads(tx: Transaction, storage: Storage) -> int:
    """End the uploads whose time is over."""
    return use_cases.expire_uploads(tx, storage)


@every(hours=1)
def delete_orphans(database: Database, storage: Storage) -> int:
    """Remove bytes that no upload needs."""
    return use_cases.delete_orphans(database, storage)
