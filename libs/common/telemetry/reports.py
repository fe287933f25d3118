"""Remote error reports, only when SENTRY_DSN is set; redacted like the logs."""

from typing import Any

from libs.common.telemetry.redaction import redact


def configure_reports(service: str, environment: str, dsn: str | None) -> bool:
    """Start Sentry. Returns whether it was started."""
    if not dsn:
        return False
    import sentry_sdk

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        server_name=service,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=lambda event, _: scrub(event),
        before_breadcrumb=lambda crumb, _: redact(crumb),
    )
    return True


def scrub(event: Any) -> Any:
    """An error report without request bodies, headers, cookies, addresses or secrets."""
    request = event.get("request", {})
    for name in ("data", "headers", "cookies", "env", "query_string"):
        request.pop(name, None)
    event.pop("user", None)
    return redact(event)
