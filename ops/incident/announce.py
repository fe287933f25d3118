"""Telling people: a Slack channel and a PagerDuty service. Who cannot be told never keeps the timeline from being written.

What looks like a secret stays in the timeline: when a credential leaks, somebody pastes it, and what was sent is out for good.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

from libs.common.telemetry.redaction import redact_text
from ops.incident.timeline import Incident, Severity
from ops.settings import Announcements

TIMEOUT_SECONDS: Final = 5.0
PAGED: Final = {Severity.SEV_1: "critical", Severity.SEV_2: "error"}
"""Who is woken, and PagerDuty's word for it (Events API v2); a SEV-3 waits for the working day."""
NOT_SET: Final = "is not configured"


@dataclass(frozen=True, slots=True)
class Announcement:
    """Who was to be told, whether they were, and why not."""

    channel: str
    reached: bool
    said: str


def announce(settings: Announcements, incident: Incident, act: str, text: str) -> list[Announcement]:
    """Tell everybody who is configured. `act`: started, severity or ended. Raises nothing: what failed is in the answer."""
    return [*_slack(settings, incident, act, text), *_pagerduty(settings, incident, act)]


def _slack(settings: Announcements, incident: Incident, act: str, text: str) -> Iterator[Announcement]:
    channel = f"Slack {settings.incident_slack_channel}"
    if settings.incident_slack_webhook is None:
        yield Announcement(channel, False, f"{NOT_SET}: set INCIDENT_SLACK_WEBHOOK")
        return
    line = f"*{incident.severity} {incident.name} {act}*: {_plain(incident.title)}"
    if text and text != incident.title:
        line += f"\n{_plain(text)}"
    line += f"\n`lumiere incident show {incident.name}` · {incident.entries[-1].digest[:12]}"
    yield _sent(channel, settings.incident_slack_webhook.get_secret_value(), {"text": line})


def _pagerduty(settings: Announcements, incident: Incident, act: str) -> Iterator[Announcement]:
    service = f"PagerDuty {settings.pagerduty_service}"
    over = act == "ended"
    if incident.severity not in PAGED and not over:
        yield Announcement(service, False, f"is not paged for {incident.severity}")
        return
    if settings.pagerduty_routing_key is None:
        yield Announcement(service, False, f"{NOT_SET}: set PAGERDUTY_ROUTING_KEY")
        return
    event: dict[str, Any] = {
        "routing_key": settings.pagerduty_routing_key.get_secret_value(),
        "event_action": "resolve" if over else "trigger",
        "dedup_key": incident.name,
    }
    if not over:
        event["payload"] = {
            "summary": f"{incident.severity} {incident.name}: {redact_text(incident.title)}",
            "source": settings.pagerduty_service,
            "severity": PAGED[incident.severity],
            "timestamp": incident.started_at.isoformat(),
            "custom_details": {"timeline_digest": incident.entries[-1].digest},
        }
    yield _sent(service, settings.pagerduty_events_url, event)


def _sent(channel: str, address: str, document: dict[str, Any]) -> Announcement:
    """The address may be a secret itself: it is neither told nor logged, nor is what the other side answers."""
    try:
        answer = httpx.post(address, json=document, timeout=TIMEOUT_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Announcement(channel, False, f"could not be reached ({type(error).__name__})")
    if not answer.is_success:
        return Announcement(channel, False, f"answered {answer.status_code}")
    return Announcement(channel, True, "was told")


def _plain(text: str) -> str:
    """Text of ours in Slack's notation: neither a mention nor a link nor markup, and no secret that somebody pasted."""
    escaped = redact_text(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("\n", " ").replace("`", "'")
