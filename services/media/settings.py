"""The environment of the media service."""

from pathlib import Path
from typing import Final, Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import Secret, ServiceSettings, without

ADDRESS: Final = r"^https?://[^/?#\s]+$"
BUCKET_NAME: Final = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
REGION_DEFAULT: Final = "us-east-1"
"""What servers that know no regions answer to."""


class Settings(ServiceSettings):
    """What media reads beside the common settings."""

    storage_folder: Path = Field(description="Folder for the bytes of files; outside anything that a web server shows")
    storage_secret: Secret = Field(description="Signs the addresses of uploads and downloads; a new one ends all addresses")
    web_threads: int = Field(
        default=32, ge=1, le=64, description="A sender or reader of a file occupies a thread for as long as its line takes"
    )
    s3_bucket: str | None = Field(
        default=None,
        pattern=BUCKET_NAME,
        description="Private bucket for new files, to which clients send them and from which they fetch them",
        json_schema_extra=without("files go through media into STORAGE_FOLDER, behind the same checks"),
    )
    s3_region: str = Field(default=REGION_DEFAULT, pattern=r"^[a-z0-9-]{1,40}$", description="Region of the bucket")
    s3_endpoint: str | None = Field(
        default=None,
        pattern=ADDRESS,
        description="Base address of a server that speaks S3",
        json_schema_extra=without("the bucket is Amazon's"),
    )
    s3_public_endpoint: str | None = Field(
        default=None,
        pattern=ADDRESS,
        description="The same server as clients reach it, when that is another address",
        json_schema_extra=without("clients are sent to S3_ENDPOINT"),
    )
    s3_access_key_id: str | None = Field(
        default=None,
        description="Name of the key that may read, write and list the bucket",
        json_schema_extra=without("S3_BUCKET is refused"),
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="The secret of that key", json_schema_extra=without("S3_BUCKET is refused")
    )

    @model_validator(mode="after")
    def _bucket_can_be_entered(self) -> Self:
        keys = {"S3_ACCESS_KEY_ID": self.s3_access_key_id, "S3_SECRET_ACCESS_KEY": self.s3_secret_access_key}
        missing = [name for name, value in keys.items() if value is None]
        if self.s3_bucket and missing:
            raise ValueError(f"S3_BUCKET needs {' and '.join(missing)}")
        if not self.s3_bucket and len(missing) < len(keys):
            raise ValueError("S3_BUCKET is required with S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY")
        return self

    @model_validator(mode="after")
    def _files_travel_encrypted_in_production(self) -> Self:
        # S3_ENDPOINT is judged with all other addresses; on one machine it may be plain, and then nobody outside can use it.
        public = self.s3_public_endpoint or self.s3_endpoint or "https://"
        if self.production and not public.startswith("https://"):
            raise ValueError(
                "S3_PUBLIC_ENDPOINT (or S3_ENDPOINT, when clients use that) must begin with https:// in production"
            )
        return self
