"""What is backed up and where to: the local platform, or what the environment of a container names."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from libs.common.config import load
from libs.common.db.provision import backup_role
from libs.common.tls import database_fault, database_with
from ops.age import recipients_of
from ops.backup.settings import BackupSettings
from ops.backup.snapshot import with_database
from ops.environment import LOG_KEY_FILE, notify_public_key
from ops.errors import OperationError
from ops.layout import Layout
from ops.plan import Plan
from ops.postgres import answers
from ops.proof import UnusableKey, VerifierKey
from ops.vault import Vault

RECIPIENTS: Final = "recipients.txt"
FOLDER_MODE: Final = 0o700


@dataclass(frozen=True)
class Place:
    """Everything that the commands need to know of where they are."""

    folder: Path
    database: Callable[[], str]
    """The address as the role that reads everything; asked late, since on a new machine asking generates passwords."""
    admin: Callable[[], str] | None
    """The address as an administrator; where scratch databases are made."""
    storage: Path | None
    recipients_file: Path
    keep: int
    log_key: VerifierKey | None
    notify_public: str | None = None

    @property
    def database_url(self) -> str:
        """As the role that reads everything."""
        return self.database()

    def recipients(self) -> list[Any]:
        """Whom backups are encrypted for. Raises OperationError."""
        try:
            return recipients_of(self.recipients_file.read_text(encoding="utf-8"))
        except OSError:
            raise OperationError(
                "Nobody is named whom backups are encrypted for. `lumiere backup key FILE` makes a key pair: FILE is the "
                "private half, to be kept away from this machine; or set LUMIERE_BACKUP_RECIPIENTS to a file of public keys."
            ) from None

    def scratch_url(self, name: str) -> str:
        """An administrative address of another database. Raises OperationError where no administrator is known."""
        if self.admin is None:
            raise OperationError("Set LUMIERE_BACKUP_ADMIN_URL: a backup is verified in a database that is made for it.")
        return with_database(self.admin(), name)


def this_place(layout: Layout, environ: dict[str, str]) -> Place:
    """Where we are: a container that LUMIERE_BACKUP_DATABASE_URL describes, else the local platform of `layout`."""
    settings = load(BackupSettings, environ)
    if settings.lumiere_backup_database_url is None:
        return local_place(layout, settings)
    admin = settings.lumiere_backup_admin_url
    for name, given in (("DATABASE", settings.lumiere_backup_database_url), ("ADMIN", admin)):
        if given is not None and (fault := database_fault(given.get_secret_value())):
            # Everything passes there, in any environment.
            raise OperationError(f"LUMIERE_BACKUP_{name}_URL {fault}.")
    authority = settings.tls_authority
    folder = settings.lumiere_backup_folder or layout.backups
    return Place(
        folder=folder,
        database=partial(database_with, settings.lumiere_backup_database_url.get_secret_value(), authority),
        admin=partial(database_with, admin.get_secret_value(), authority) if admin else None,
        storage=settings.storage_folder,
        recipients_file=settings.lumiere_backup_recipients or folder / RECIPIENTS,
        keep=settings.lumiere_backup_keep,
        log_key=_key(settings.lumiere_log_key) if settings.lumiere_log_key else None,
    )


def local_place(layout: Layout, settings: BackupSettings) -> Place:
    """The platform on this machine."""
    backing = Plan(layout).backing
    key_file = layout.state / LOG_KEY_FILE
    return Place(
        folder=layout.backups,
        database=partial(backing.database_url, backup_role()),
        admin=backing.maintenance_url,
        storage=layout.state / "storage",
        recipients_file=settings.lumiere_backup_recipients or layout.backups / RECIPIENTS,
        keep=settings.lumiere_backup_keep,
        log_key=_key(key_file.read_text(encoding="utf-8").strip()) if key_file.exists() else None,
        notify_public=_notify_public(layout),
    )


def require_database(place: Place) -> None:
    """Raise OperationError when the database does not answer."""
    if not answers(place.database_url):
        raise OperationError(
            "The database does not answer as the role of backups. Start the platform with `make up`; in containers, see that "
            "`provision` has run with the secret DATABASE_URL_BACKUP."
        )


def _notify_public(layout: Layout) -> str | None:
    vault = Vault(layout.secrets)
    return notify_public_key(vault) if vault.path("NOTIFY_PRIVATE_KEY").exists() else None


def _key(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except UnusableKey as error:
        raise OperationError(f"The log's verifier key cannot be used: {error}") from None
