"""The public keys that tokens are verified with: a JWK Set turned into one PEM file a key."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from gateway.revocations import KEY_ID
from libs.common.auth.tokens import ALGORITHM, parse_key_set
from libs.common.telemetry import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key. HAProxy reads it from `file`; the algorithm stands as a literal in the rule that names the key."""

    key_id: str
    pem: bytes

    @property
    def file(self) -> str:
        """A name made by us from the key's content: nothing that arrived over the network becomes part of a path."""
        return f"{sha256(self.pem).hexdigest()[:32]}.pem"

    @property
    def algorithm(self) -> str:
        """The only algorithm this key is good for."""
        return ALGORITHM


def verification_keys(document: Mapping[str, Any]) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK Set (RFC 7517), by key id. Ids that could mean something to the configuration are left out.

    Raises ValueError when a key is none.
    """
    return _usable(_parsed(document))


def readable_keys(document: Mapping[str, Any]) -> tuple[VerificationKey, ...]:
    """The same of a key set that was taken before; none when it cannot be read any more."""
    return _usable(trusted(document))


def trusted(document: Mapping[str, Any]) -> dict[str, ECKey]:
    """The keys of a key set that was taken before; none when it cannot be read any more."""
    try:
        return _parsed(document)
    except ValueError as error:
        log.warning("gateway.key_set.unreadable", reason=str(error))
        return {}


def _parsed(document: Mapping[str, Any]) -> dict[str, ECKey]:
    try:
        return parse_key_set(document)
    except (JoseError, TypeError, AttributeError) as error:
        raise ValueError(f"the key set holds a key that is none: {error}") from None


def _usable(keys: Mapping[str, ECKey]) -> tuple[VerificationKey, ...]:
    return tuple(
        VerificationKey(key_id, keys[key_id].as_pem(private=False)) for key_id in sorted(keys) if KEY_ID.fullmatch(key_id)
    )
