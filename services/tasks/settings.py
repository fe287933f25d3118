"""The environment of film production."""

from pydantic import Field

from libs.common.config import ServiceSettings
from services.tasks.domain.rules import Rules


class Settings(ServiceSettings):
    """What every service reads, and the numbers of production."""

    max_active_tasks: int = Field(default=3, ge=1, le=100, description="Tasks that one person may work on at once")
    advisory_threshold: int = Field(
        default=70, ge=0, le=100, description="Advisory score from which a submission is not flagged"
    )
    lumens_per_task: int = Field(default=10, ge=0, le=10_000, description="Lumens that a validated task earns")

    @property
    def rules(self) -> Rules:
        """The numbers, as the domain takes them."""
        return Rules(
            max_active_tasks=self.max_active_tasks,
            advisory_threshold=self.advisory_threshold,
            lumens_per_task=self.lumens_per_task,
        )
