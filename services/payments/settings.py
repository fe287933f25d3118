"""The environment of payments."""

from pydantic import Field, SecretStr

from libs.common.config import ServiceSettings


class Settings(ServiceSettings):
    """What payments reads beyond what every service reads."""

    stripe_webhook_secret: SecretStr | None = Field(
        default=None, description="Verifies what Stripe sends to /webhooks/stripe; unset or under 16 characters: shut"
    )
