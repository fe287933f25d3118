"""The gateway: what checking costs on top of carrying, what others take for less, and what it does to streams and changes."""

from typing import Final

SETTINGS: Final = "LUMIERE_BENCH_GATEWAY"
"""The variable that tells peers what to check and where the service is (JSON)."""
