"""E-mail through Resend (https://resend.com/docs/api-reference/emails/send-email)."""

from email.headerregistry import Address
from typing import Any, Final

import httpx

from libs.common.companions import Companion
from services.notify.adapters.mail import require_address
from services.notify.domain import DeliveryRefused, Mail, ProviderAway

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
"""The longest silence of the provider before it counts as away."""
AGENT: Final = "lumiere-notify"
"""Resend refuses requests that do not say who asks."""

# One e-mail cannot be helped by another attempt; of a refused key or sender the operator hears, and the e-mails wait meanwhile.
# So do they where we are sent elsewhere, which we never follow: the address that was given is not Resend's.
_OURS: Final = frozenset({401, 403, 404, 405, 408, 425, 429})
_SENDER_REFUSED: Final = "invalid_from_address"
_SENT_BEFORE: Final = "invalid_idempotent_request"


class ResendSender:
    """Hands each e-mail over under its own id, by which Resend knows for 24 hours what it has taken already."""

    def __init__(self, key: str, sender: Address, companion: Companion, endpoint: str) -> None:
        self._sender = str(sender)
        self._companion = companion
        self._http = httpx.Client(
            base_url=endpoint,
            headers={"Authorization": f"Bearer {key}", "User-Agent": AGENT},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    def send(self, mail: Mail) -> None:
        """Send one e-mail, once however often it is asked for. Raises DeliveryRefused; ProviderAway when none would leave."""
        require_address(mail.recipient)
        try:
            answer = self._http.post("/emails", json=self._body(mail), headers={"Idempotency-Key": str(mail.id)})
        except httpx.HTTPError as error:
            raise self._away(type(error).__name__) from None
        if answer.is_success or (answer.status_code == 409 and _name(answer) == _SENT_BEFORE):
            # The second: it left before, under other words. Somebody changed their name between two attempts.
            self._companion.found()
            return
        reason = f"Refused{answer.status_code}"
        if answer.status_code >= 500 or answer.is_redirect or answer.status_code in _OURS or _name(answer) == _SENDER_REFUSED:
            raise self._away(reason)
        self._companion.found()
        raise DeliveryRefused(reason, permanent=answer.status_code != 409)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def _body(self, mail: Mail) -> dict[str, Any]:
        return {
            "from": self._sender,
            "to": [mail.recipient],
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "headers": {"Auto-Submitted": "auto-generated", "Content-Language": mail.locale},
        }

    def _away(self, reason: str) -> ProviderAway:
        self._companion.lost(reason)
        return ProviderAway(reason)


def _name(answer: httpx.Response) -> str:
    """Resend's own name of an error."""
    try:
        return str(answer.json()["name"])
    except (ValueError, KeyError, TypeError):
        return ""
