"""The doors at which clients exchange, examine and end tokens, and learn who signed in."""

from collections.abc import Callable
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error

from libs.common.auth.policy import PUBLIC, SIGNED_IN, Rate, Scope, Subject
from libs.common.db import Reader
from libs.common.http import Document, Produced, RawBody, RequestInfo, Routes
from libs.common.http.forms import FORM
from services.auth import queries
from services.auth.domain.authorization import AskedWrongly
from services.auth.domain.clients import AuthMethod, Client, GrantType
from services.auth.domain.devices import DEVICE_CODE_LIFE, POLL_INTERVAL
from services.auth.domain.metadata import user_claims
from services.auth.domain.protocol import Answer, as_json, needed, parameters, refusal, wrong_client
from services.auth.domain.sessions import device_label
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE
from services.auth.use_cases import devices, grants, token_status
from services.auth.use_cases.client_authentication import Asking, authenticate, proved_key
from services.auth.use_cases.desk import Desk

routes = Routes("auth")

JSON = "application/json"
TOKEN = "/oauth/token"  # noqa: S105  a path
DEVICE = "/oauth/device_authorization"
EXAMPLES = {
    "token": '{"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 900, "scope": "openid", "id_token": "eyJ…"}',
    "device": '{"device_code": "kS3bGqk0cYzv0Jj6", "user_code": "BDFG-HJKL", "verification_uri": "https://lumiere.film/device",'
    ' "verification_uri_complete": "https://lumiere.film/device?user_code=BDFG-HJKL", "expires_in": 600, "interval": 5}',
    "introspection": '{"active": true, "scope": "tasks:read", "client_id": "0195561c-7800-7000-8000-000000000000"}',
    "userinfo": '{"sub": "0195561c-7800-7000-8000-000000000000", "name": "Ada Lovelace", "locale": "en"}',
}
EXCHANGE_EXAMPLE = (
    "grant_type=authorization_code&code=kS3bGqk0cYzv0Jj6&redirect_uri=https%3A%2F%2Fapp.example.org&code_verifier=dBjftJeZ4CVP"
)


@routes.post(
    TOKEN,
    allow=PUBLIC,
    rate=Rate.CREDENTIALS,
    root=True,
    consumes=(FORM,),
    body_example=EXCHANGE_EXAMPLE,
    produces=(Produced(JSON, EXAMPLES["token"]),),
)
def exchange(content: RawBody, request: RequestInfo, desk: Desk) -> Document:
    """Exchange a code, a refresh token, a device's code or a client's own credentials for tokens (RFC 6749 section 3.2).

    Errors are RFC 6749's (section 5.2). A proof of possession in a DPoP header binds the tokens to its key (RFC 9449).
    """

    def act(asking: Asking) -> Answer:
        client = authenticate(desk.database, asking, desk.provider, desk.used)
        key = proved_key(asking, client, desk.provider, desk.used)
        with desk.database.transaction() as tx:
            outcome = grants.exchange(tx, client, asking, key, desk.lifetimes)
        return refusal(outcome) if isinstance(outcome, OAuth2Error) else _tokens(outcome, desk)

    return _answered(content, request, TOKEN, act)


@routes.post(
    DEVICE,
    allow=PUBLIC,
    rate=Rate.CREDENTIALS,
    root=True,
    consumes=(FORM,),
    body_example="client_id=0195561c-7800-7000-8000-6c756d696572&scope=openid",
    produces=(Produced(JSON, EXAMPLES["device"]),),
)
def ask_for_device(content: RawBody, request: RequestInfo, desk: Desk) -> Document:
    """Begin the device grant (RFC 8628 section 3.1): a code for the device to ask with, and one for a person to type."""

    def act(asking: Asking) -> Answer:
        client = authenticate(desk.database, asking, desk.provider, desk.used)
        if GrantType.DEVICE not in client.grants:
            return refusal(OAuth2Error("This client is not registered for the device grant.", error="unauthorized_client"))
        with desk.database.transaction() as tx:
            try:
                offered = devices.offer(tx, client, asking.given.get("scope"), device_label(request.user_agent))
            except AskedWrongly as fault:
                return refusal(OAuth2Error(fault.description, error=fault.code))
        page = f"{desk.provider.issuer}/device"
        return Answer(
            {
                "device_code": offered.device_code,
                "user_code": offered.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={offered.user_code}",
                "expires_in": int(DEVICE_CODE_LIFE.total_seconds()),
                "interval": int(POLL_INTERVAL.total_seconds()),
            }
        )

    return _answered(content, request, DEVICE, act)


@routes.post(
    "/oauth/introspect",
    allow=PUBLIC,
    rate=Rate.WRITE,
    root=True,
    consumes=(FORM,),
    body_example="token=eyJ0eXAiOi",
    produces=(Produced(JSON, EXAMPLES["introspection"]),),
)
def introspect(content: RawBody, request: RequestInfo, desk: Desk) -> Document:
    """Ask whether a token holds and what it is for (RFC 7662). A client that authenticates sees those that it was given."""

    def act(asking: Asking) -> Answer:
        client = _confidential(authenticate(desk.database, asking, desk.provider, desk.used))
        with desk.database.transaction() as tx:
            return Answer(token_status.introspect(tx, client, needed(asking.given, "token"), desk.reader))

    return _answered(content, request, "/oauth/introspect", act)


@routes.post(
    "/oauth/revoke",
    allow=PUBLIC,
    rate=Rate.WRITE,
    root=True,
    consumes=(FORM,),
    body_example="token=kS3bGqk0cYzv0Jj6",
    produces=(Produced(JSON, "{}"),),
)
def revoke(content: RawBody, request: RequestInfo, desk: Desk) -> Document:
    """End a token before its time, and the whole session that it is of (RFC 7009)."""

    def act(asking: Asking) -> Answer:
        client = authenticate(desk.database, asking, desk.provider, desk.used)
        with desk.database.transaction() as tx:
            refused = token_status.revoke(tx, client, needed(asking.given, "token"), desk.reader)
        return Answer({}) if refused is None else refusal(refused)

    return _answered(content, request, "/oauth/revoke", act)


@routes.get(
    "/oauth/userinfo",
    allow=SIGNED_IN,
    scope=Scope.OPENID,
    root=True,
    produces=(Produced(JSON, EXAMPLES["userinfo"]),),
)
def user_info(subject: Subject, db: Reader) -> Document:
    """Read who signed in (OpenID Connect Core section 5.3): `name` and `locale` for profile, the address for email."""
    return _user_info(subject, db)


@routes.post(
    "/oauth/userinfo",
    allow=SIGNED_IN,
    scope=Scope.OPENID,
    rate=Rate.READ,
    root=True,
    produces=(Produced(JSON, EXAMPLES["userinfo"]),),
)
def user_info_by_post(subject: Subject, db: Reader) -> Document:
    """The same by POST, as the standard wants it."""
    return _user_info(subject, db)


def _user_info(subject: Subject, db: Reader) -> Document:
    return Document(as_json(user_claims(queries.account(db, subject.id), subject.scopes)), JSON)


def _confidential(client: Client) -> Client:
    if client.method is AuthMethod.NONE:
        raise wrong_client()
    return client


def _answered(content: RawBody, request: RequestInfo, path: str, act: Callable[[Asking], Answer]) -> Document:
    """Read what a client sends, act, and answer; errors are the standard's own."""
    try:
        headers = request.headers
        answer = act(Asking(path, parameters(content.data), headers.get("Authorization"), headers.get("Dpop")))
    except OAuth2Error as fault:
        answer = refusal(fault)
    return Document(as_json(answer.members), JSON, answer.headers, answer.status)


def _tokens(given: grants.Given, desk: Desk) -> Answer:
    access_token = desk.issuer.issue(given.grant)
    members: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer" if given.grant.key_thumbprint is None else "DPoP",
        "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
        "scope": given.grant.scope,
    }
    if given.refresh_token:
        members["refresh_token"] = given.refresh_token
    if given.sign_in is not None:
        members["id_token"] = desk.teller.tell(given.sign_in, access_token)
    return Answer(members)
