"""What whoever releases has in the environment."""

from pydantic import Field, SecretStr

from libs.common.config import Settings, without


class ReleaseSettings(Settings):
    """The key that signs releases; nothing of the platform reads it."""

    lumiere_release_key: SecretStr | None = Field(
        default=None,
        description="The minisign secret key that signs releases, without a password (`lumiere release key` makes one)",
        json_schema_extra=without("`lumiere release build` refuses; everything else works"),
    )
