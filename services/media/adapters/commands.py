"""The operator's door: commands run beside the service, by whoever may start its processes."""

import sys
from collections.abc import Sequence
from typing import Final, cast

from libs.common.service import Assembled
from services.media.adapters.both import BucketBeforeFolder
from services.media.domain.storage import Storage, StorageAway

FAILED: Final = 1


def bucket_command(assembled: Assembled, _arguments: Sequence[str]) -> int:
    """`bucket`: make the bucket of the settings where there is none. Safe to repeat; returns the exit code."""
    storage = cast(Storage, assembled.resources[Storage])
    if not isinstance(storage, BucketBeforeFolder):
        sys.stderr.write("No bucket is named: set S3_BUCKET, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY.\n")
        return FAILED
    try:
        made = storage.make()
    except StorageAway:
        sys.stderr.write("The bucket's server does not answer, or refuses: see S3_ENDPOINT and the keys. Repeat it then.\n")
        return FAILED
    sys.stdout.write("the bucket was made\n" if made else "the bucket is there\n")
    return 0
