"""The public keys that tokens are verified with: a JWK Set turned into one PEM file a key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from libs.common.auth.tokens import ALGORITHM, parse_key_set

KEY_ID = re.compile(r"^[A-Za-z0-9_-]{1,128}$")


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
    """The usable keys of a JWK Set (RFC 7517), by key id. Ids that could mean something to the configuration are left out."""
    keys = parse_key_set(document)
    return tuple(
        VerificationKey(key_id, keys[key_id].as_pem(private=False)) for key_id in sorted(keys) if KEY_ID.fullmatch(key_id)
    )
