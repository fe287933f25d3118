"""What a backup says of itself: the last part of the encrypted file, and in clear beside it. It holds no secret."""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableFacts(_Part):
    """One table: what a restored one is compared with."""

    rows: int
    digest: str
    """Sum of the rows' hashes, whatever their order."""


class FileFacts(_Part):
    """One file of media."""

    size: int
    sha256: str


class Keys(_Part):
    """Which secrets a restored platform needs. They are not in the backup: the names tell which ones to bring."""

    log: str | None = None
    """Name and key id of the log's key, as its last signature has them."""
    auth_root: tuple[str, ...] = ()
    """Ids of the AUTH_SECRETs that open auth's root."""
    notify_public: str | None = None
    """Public half of NOTIFY_PRIVATE_KEY."""


class Log(_Part):
    """The transparency log at the moment of the backup."""

    size: int = 0
    checkpoint: str | None = None
    """The newest signed checkpoint, verbatim; None for a log that has signed nothing."""
    root: str | None = None
    since: int | None = None
    """Size of the checkpoint of the backup before; None when there is none."""
    proof: tuple[str, ...] = ()
    """That the log only grew since then (RFC 6962 section 2.1.2), base64."""


class Manifest(_Part):
    """One backup."""

    format: Literal[1] = FORMAT
    name: str
    created_at: datetime
    postgres: str
    """Version of the server that it was taken from."""
    tables: dict[str, TableFacts]
    """By `schema.table`."""
    storage: Literal["included", "elsewhere"]
    """Whether media's files are in it; "elsewhere" where they stand in an object store with copies of its own."""
    files: dict[str, FileFacts]
    """By place below the storage folder."""
    missing: tuple[str, ...] = ()
    """Places that the database names and the folder did not have: damage from before the backup, or deleted while it ran."""
    log: Log
    keys: Keys
