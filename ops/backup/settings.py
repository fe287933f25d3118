"""What `lumiere backup` reads where it runs in a container of its own, beside the platform."""

from pathlib import Path

from pydantic import Field, SecretStr

from libs.common.config import Settings, without

KEEP_DEFAULT = 14
KEEP_MAX = 10_000


class BackupSettings(Settings):
    """Where everything stands for a backup; on the machine of a local platform the platform's own settings say so."""

    lumiere_backup_database_url: SecretStr | None = Field(
        default=None,
        description="Postgres, as the role that reads everything and writes nothing: what is backed up",
        json_schema_extra=without("the local platform is backed up"),
    )
    lumiere_backup_admin_url: SecretStr | None = Field(
        default=None,
        description="Postgres, as an administrator: where backups are verified and restored; not needed to make them",
        json_schema_extra=without("backups are made, and cannot be verified there"),
    )
    lumiere_backup_folder: Path | None = Field(
        default=None,
        description="Where backups and their record stand; another disk than the data's",
        json_schema_extra=without("they stand in `backups` below the state folder, and are lost with it"),
    )
    lumiere_backup_recipients: Path | None = Field(
        default=None,
        description="File of the age public keys that backups are encrypted for, one a line",
        json_schema_extra=without("`recipients.txt` in the folder of backups, which `lumiere backup key` writes"),
    )
    lumiere_backup_keep: int = Field(
        default=KEEP_DEFAULT,
        ge=1,
        le=KEEP_MAX,
        description="Backups that stay when a new one is made; the last verified one always",
    )
    tls_authority: Path | None = Field(
        default=None,
        description="PEM file of the authority that signs the certificates of servers inside",
        json_schema_extra=without("servers inside are verified by what the system trusts"),
    )
    storage_folder: Path | None = Field(
        default=None,
        description="Media's files, as media has the folder",
        json_schema_extra=without("files are not in the backup: they stand elsewhere, with copies of their own"),
    )
    lumiere_log_key: str | None = Field(
        default=None,
        description="The log's verifier key, so that checkpoints are believed for their signature",
        json_schema_extra=without("checkpoints are believed because the database holds them"),
    )
