"""The doors of keys, revocation and maintenance."""

from typing import Any

import orjson

from libs.common.auth.policy import PUBLIC, SERVICE, Rate, Role, Subject
from libs.common.db import Reader, Transaction
from libs.common.http import (
    Document,
    IfMatch,
    Produced,
    Routes,
    Tagged,
)
from services.auth import schemas
from services.auth.domain.keys import KEY_SET_AGE
from services.auth.domain.tokens import KeySet
from services.auth.use_cases import maintenance, revocations

routes = Routes("auth")


KEY_SET_MEDIA_TYPE = "application/jwk-set+json"
KEY_SET_EXAMPLE = (
    '{"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "5e1b0c7a",'
    ' "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'  # pragma: allowlist secret
    ' "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}'  # pragma: allowlist secret
)


@routes.get(
    "/.well-known/jwks.json",
    allow=PUBLIC,
    rate=Rate.PUBLIC,
    root=True,
    during_maintenance=True,
    produces=(Produced(KEY_SET_MEDIA_TYPE, KEY_SET_EXAMPLE),),
)
def key_set(keys: KeySet) -> Document:
    """Read the public keys that verify access tokens (RFC 7517)."""
    headers = {"Cache-Control": f"public, max-age={int(KEY_SET_AGE.total_seconds())}"}
    return Document(orjson.dumps(keys.public()), KEY_SET_MEDIA_TYPE, headers)


@routes.get("/internal/revocations", allow=SERVICE, root=True)
def revocation_list(tx: Transaction) -> schemas.RevocationList:
    """Read what verifiers must refuse though it is signed and not expired."""
    return schemas.RevocationList.model_validate(revocations.current(tx))


@routes.get("/admin/maintenance", allow=Role.ADMIN)
def read_maintenance(db: Reader) -> Tagged[schemas.Maintenance]:
    """Read whether the platform is being maintained."""
    return _maintenance(maintenance.current(db))


@routes.put("/admin/maintenance", allow=Role.ADMIN)
def decide_maintenance(
    body: schemas.DecideMaintenance, subject: Subject, if_match: IfMatch, tx: Transaction
) -> Tagged[schemas.Maintenance]:
    """Shut the platform's door for maintenance, or open it. Administrators, sign-in and webhooks go on; the rest is 503."""
    return _maintenance(maintenance.decide(tx, subject.id, body.enabled, body.reason, if_match.version))


@routes.get("/internal/maintenance", allow=SERVICE, root=True)
def maintenance_for_the_gateway(db: Reader) -> schemas.Maintenance:
    """Read whether the platform is being maintained, for gateways that start or missed the broadcast."""
    return _maintenance(maintenance.current(db)).view


def _maintenance(decision: Any) -> Tagged[schemas.Maintenance]:
    return Tagged(schemas.Maintenance.model_validate(decision), decision.revision)
