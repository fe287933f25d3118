"""Personal values at rest: sealed boxes that only the holder of the private key can open."""

from typing import Any

import orjson

from libs.common.events import Keyring, Recipient


class SealedBoxVault:
    """Seals JSON values to notify's own public key."""

    def __init__(self, recipient: Recipient, keyring: Keyring) -> None:
        self._recipient = recipient
        self._keyring = keyring

    def seal(self, value: Any) -> bytes:
        """A JSON value, sealed."""
        return self._recipient.seal(orjson.dumps(value))

    def open(self, sealed: bytes) -> Any:
        """The value that was sealed. Raises CannotOpen when no key of the ring fits."""
        return orjson.loads(self._keyring.open(bytes(sealed)))
