"""The environment of the media service."""

from pathlib import Path

from pydantic import Field

from libs.common.config import Secret, ServiceSettings


class Settings(ServiceSettings):
    """What media reads beside the common settings."""

    storage_folder: Path = Field(description="Folder for the bytes of files; outside anything that a web server shows")
    storage_secret: Secret = Field(description="Signs the addresses of uploads and downloads; a new one ends all addresses")
