"""The environment of film production."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from libs.common.config import ServiceSettings, without
from services.tasks.domain.rules import Rules


class Settings(ServiceSettings):
    """What every service reads, and the numbers of production."""

    max_active_tasks: int = Field(default=3, ge=1, le=100, description="Tasks that one person may work on at once")
    advisory_threshold: int = Field(
        default=70, ge=0, le=100, description="Advisory score from which a submission is not flagged"
    )
    anthropic_api_key: SecretStr | None = Field(
        default=None,
        description="Key of Anthropic, whose model scores submissions for the person who decides",
        json_schema_extra=without("a stand-in scores by a formula; its scores are marked as a mock"),
    )
    anthropic_model: str = Field(
        default="claude-haiku-4-5", pattern=r"^[A-Za-z0-9._:/-]{1,100}$", description="Model that scores submissions"
    )
    anthropic_endpoint: str = Field(
        default="https://api.anthropic.com", pattern=r"^https?://[^/?#\s]+$", description="Base address of Anthropic's API"
    )
    lumens_per_task: int = Field(default=10, ge=0, le=10_000, description="Lumens that a validated task earns")

    @model_validator(mode="after")
    def _work_travels_encrypted_in_production(self) -> Self:
        if self.production and not self.anthropic_endpoint.startswith("https://"):
            raise ValueError("ANTHROPIC_ENDPOINT must begin with https:// in production")
        return self

    @property
    def rules(self) -> Rules:
        """The numbers, as the domain takes them."""
        return Rules(
            max_active_tasks=self.max_active_tasks,
            advisory_threshold=self.advisory_threshold,
            lumens_per_task=self.lumens_per_task,
        )
