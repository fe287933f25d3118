"""The environment of payments."""

from pydantic import Field, SecretStr

from libs.common.config import ServiceSettings, without


class Settings(ServiceSettings):
    """What payments reads beyond what every service reads."""

    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Verifies what Stripe sends to /webhooks/stripe",
        json_schema_extra=without("unset or under 16 characters: that door is shut, and nothing that arrives is processed"),
    )
