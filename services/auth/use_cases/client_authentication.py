"""Who is the client, and which key does it hold: before any transaction, so that what was used is used whatever comes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.common import clock
from libs.common.auth.browser import origin_of
from libs.common.auth.dpop import BoundRequest, ProofRefused, verify_proof
from libs.common.db import Database
from libs.common.telemetry import logger
from services.auth import queries
from services.auth.domain.assertions import verify_assertion
from services.auth.domain.authorization import Provider
from services.auth.domain.clients import SECRET_METHODS, AuthMethod, Client, secret_matches
from services.auth.domain.protocol import ClientCredentials, client_credentials, wrong_client, wrong_proof
from services.auth.domain.replays import UsedOnce

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """A client's request as it came: its parameters and the headers that say who sends it."""

    path: str
    given: Mapping[str, str]
    authorization: str | None = None
    proof: str | None = None


def authenticate(database: Database, asking: Asking, provider: Provider, used: UsedOnce) -> Client:
    """Return the client that sends this. Raises InvalidClientError, InvalidRequestError."""
    credentials = client_credentials(asking.given, asking.authorization)
    with database.reader() as db:
        client = queries.client(db, credentials.client_id)
        hashes = [bytes(row.secret_hash) for row in queries.secrets(db, credentials.client_id, clock.now())]
    if client is None or client.method is not credentials.method or not _shown(client, credentials, hashes, provider, used):
        log.warning("auth.client.refused", client_id=str(credentials.client_id), method=credentials.method)
        raise wrong_client(credentials.method)
    return client


def _shown(client: Client, credentials: ClientCredentials, hashes: Sequence[bytes], provider: Provider, used: UsedOnce) -> bool:
    if client.method in SECRET_METHODS:
        return secret_matches(credentials.secret or "", hashes)
    if client.method is AuthMethod.PRIVATE_KEY:
        assertion = verify_assertion(credentials.assertion or "", client, provider, clock.now())
        return assertion is not None and used.spend(assertion.digest, assertion.forgotten_at)
    return True


def proved_key(asking: Asking, client: Client, provider: Provider, used: UsedOnce) -> str | None:
    """Return the thumbprint of the key that the client proves to hold (RFC 9449 section 5), if it proves any.

    Raises the error invalid_dpop_proof, also when the client is registered to always prove one.
    """
    if asking.proof is None:
        if client.bound_tokens:
            raise wrong_proof("This client's tokens are bound to a key: send a proof of possession in one DPoP header.")
        return None
    try:
        proof = verify_proof(asking.proof, BoundRequest("POST", origin_of(provider.issuer), asking.path))
        if not used.spend(proof.digest, proof.forgotten_at):
            raise ProofRefused("The proof was used before; make one for each request.")
    except ProofRefused as refused:
        raise wrong_proof(refused.detail) from None
    return proof.thumbprint
