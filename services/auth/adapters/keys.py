"""The signing key of this process, as the table says, and the public keys for everyone."""

import threading
from dataclasses import replace
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import Row

from libs.common import clock, ids
from libs.common.db import Database
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.factors import Required
from services.auth.domain.id_tokens import SignIn, id_claims, read_id_token, sign_id_token
from services.auth.domain.keys import VERIFIES_AFTER_USE
from services.auth.domain.secrets import MasterSecret
from services.auth.domain.tokens import Grant, claims, sign, unseal_signing_key
from services.auth.use_cases.keys import ensure_active_key
from services.auth.use_cases.root import SealedUnderAnotherSecret

log = logger(__name__)


class SigningKeys:
    """Signs access tokens with the active key; makes the first keys when there are none.

    Which key signs is asked before each signature: once a key was rotated or withdrawn, no replica signs with it any more.
    """

    def __init__(self, database: Database, secret: MasterSecret, required: Required, *, issuer: str, audience: str) -> None:
        """Read nothing yet: the first token or key set does."""
        self._required = required
        self._database = database
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._lock = threading.Lock()
        self._key: ECKey | None = None

    def issue(self, grant: Grant) -> str:
        """Return a signed access token; a role that asks for a second factor is withheld from whoever did not show one."""
        grant = replace(grant, roles=self._required.roles(grant.roles, grant.methods))
        return sign(claims(grant, self._issuer, self._audience, ids.new_id()), self._signing_key())

    def tell(self, sign_in: SignIn, access_token: str) -> str:
        """Return a signed ID token."""
        return sign_id_token(id_claims(sign_in, self._issuer, access_token), self._signing_key())

    def told(self, id_token: str) -> dict[str, Any] | None:
        """Return what an ID token of ours says, however old it is; None when it is none of ours."""
        claims = read_id_token(id_token, self.public())
        return claims if claims is not None and claims.get("iss") == self._issuer else None

    def public(self) -> dict[str, Any]:
        """Return the JSON Web Key Set (RFC 7517) of keys that living tokens may be signed with."""
        self._active()
        with self._database.reader() as db:
            return {"keys": queries.verification_keys(db, clock.now() - VERIFIES_AFTER_USE)}

    def _signing_key(self) -> ECKey:
        row = self._active()
        with self._lock:
            if self._key is None or self._key.kid != row.id:
                self._key = self._opened(row)
            return self._key

    def _active(self) -> Row[Any]:
        with self._database.reader() as db:
            row = queries.active_key(db)
        if row is None:
            with self._database.transaction() as tx:
                row = ensure_active_key(tx, self._secret)
        return row

    def _opened(self, row: Row[Any]) -> ECKey:
        if row.secret_id != self._secret.id:
            log.error("auth.signing_key.sealed_under_another_secret", key_id=row.id)
            raise SealedUnderAnotherSecret(
                "Nobody can sign in at this moment; the operators see why in the log.", retry_after=60
            )
        return unseal_signing_key(row.id, bytes(row.private_sealed), self._secret)
