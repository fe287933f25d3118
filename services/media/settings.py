"""The environment of the media service."""

from pathlib import Path

from pydantic import Field

from libs.common.config import Secret, ServiceSettings


class Settings(ServiceSettings):
    """What media reads beside the common settings."""

    storage_folder: Path = Field(description="Folder for the bytes of files; outside anything that a web server shows")
    storage_secret: Secret = Field(description="Signs the addresses of uploads and downloads; a new one ends all addresses")
    web_threads: int = Field(
        default=32, ge=1, le=64, description="A sender or reader of a file occupies a thread for as long as its line takes"
    )
