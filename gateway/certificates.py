"""Until when certificates hold."""

from collections.abc import Iterable
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate


def expiries(certificates: Iterable[Path]) -> dict[str, float]:
    """File name → the moment until which its first certificate holds; unreadable ones are left out."""
    found = {}
    for path in certificates:
        try:
            found[path.name] = load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
        except (OSError, ValueError):
            continue
    return found
