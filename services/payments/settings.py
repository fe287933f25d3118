"""The environment of payments."""

import re
from typing import Final, Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import ServiceSettings, without
from services.payments.domain import Payer

STRIPE_KEY: Final = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9]{8,250}")
"""A secret or restricted key (https://docs.stripe.com/keys); the word in it says whether it moves real money."""


class Settings(ServiceSettings):
    """What payments reads beyond what every service reads."""

    stripe_secret_key: SecretStr | None = Field(
        default=None,
        description="Key of Stripe: sk_test_… outside production, sk_live_… in it",
        json_schema_extra=without(
            "payments are marked MOCK and no money moves; in production payments does not start unless MOCK_PROVIDERS allows it"
        ),
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Verifies what Stripe sends to /webhooks/stripe",
        json_schema_extra=without("unset or under 16 characters: that door is shut, and nothing that arrives is processed"),
    )

    @property
    def payer(self) -> Payer:
        """Who is to move the money of what is opened now."""
        return Payer.MOCK if self.stripe_secret_key is None else Payer.STRIPE

    @model_validator(mode="after")
    def _key_fits_the_environment(self) -> Self:
        given = self.stripe_secret_key
        kind = STRIPE_KEY.fullmatch(given.get_secret_value()) if given else None
        if given is not None and kind is None:
            raise ValueError("STRIPE_SECRET_KEY must be a secret or restricted key of Stripe: it begins with sk_ or rk_")
        live = kind is not None and kind[1] == "live"
        if live and not self.production:
            raise ValueError("STRIPE_SECRET_KEY moves real money; outside production use the key that begins with sk_test_")
        if self.production and not live and "payments" not in self.mock_providers:
            raise ValueError(
                "STRIPE_SECRET_KEY must be a live key in production, or nobody is paid. "
                "For a demonstration say MOCK_PROVIDERS=payments"
            )
        return self
