"""A client signs a person out (OpenID Connect RP-Initiated Logout)."""

from collections.abc import Mapping
from uuid import UUID

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.authorization import SignOutRefused, with_query
from services.auth.domain.clients import Client
from services.auth.domain.id_tokens import SignInTeller
from services.auth.domain.sessions import EndReason
from services.auth.use_cases.sessions import ended


def sign_out(tx: Transaction, teller: SignInTeller, given: Mapping[str, str]) -> str | None:
    """End the client's session and the one of the person's own that it came by; returns where the client wants them to go.

    An ID token of ours is asked for: a link alone must not sign anybody out; and it is worth nothing once the person took back
    what they let the client do. Raises SignOutRefused, and nothing has ended then.
    """
    claims = teller.told(given.get("id_token_hint", ""))
    client = None if claims is None else queries.client(tx, UUID(str(claims["aud"])))
    if claims is None or client is None or given.get("client_id", str(client.id)) != str(client.id):
        raise SignOutRefused("The program did not say truly whose session is to end. You can sign out on your dashboard.")
    if not queries.consented_scope(tx, UUID(str(claims["sub"])), client.id):
        raise SignOutRefused(f"You let {client.name} act for you no more. You can sign out on your dashboard.")
    address = _destination(client, given)
    session = queries.session_by_id(tx, UUID(str(claims["sid"])))
    if session is not None and session.user_id == UUID(str(claims["sub"])):
        ended(tx, session.user_id, session.id, EndReason.LOGOUT)
        if session.parent_id is not None:
            ended(tx, session.user_id, session.parent_id, EndReason.LOGOUT)
    return address


def _destination(client: Client, given: Mapping[str, str]) -> str | None:
    address = given.get("post_logout_redirect_uri")
    if address is None:
        return None
    if address not in client.post_logout_redirect_uris:
        raise SignOutRefused(
            f"{client.name} asked us to send you to an address that it is not registered with. Tell its makers."
        )
    return with_query(address, {"state": given["state"]}) if "state" in given else address
