"""The environment of payments."""

from libs.common.config import ServiceSettings


class Settings(ServiceSettings):
    """Payments needs nothing beyond what every service reads."""
