"""Remote error reports, only when SENTRY_DSN is set; redacted like the logs."""

from typing import Any, Final

from libs.common.telemetry.redaction import redact

SHUTDOWN_SECONDS: Final = 2


def configure_reports(service: str, environment: str, dsn: str | None) -> bool:
    """Start Sentry. Returns whether it was started."""
    if not dsn:
        return False
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        server_name=service,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        before_send=lambda event, _: scrub(event),
        before_breadcrumb=lambda crumb, _: redact(crumb),
        # Reports are sent by a thread of the library, from a queue that drops what it cannot hold: who errs never waits. The
        # end of a process waits this long at most.
        shutdown_timeout=SHUTDOWN_SECONDS,
        # What is an error is decided where it is logged, once, and not in each library that is found; and what ends a process.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[ExcepthookIntegration(), AtexitIntegration(callback=lambda _pending, _seconds: None)],
    )
    return True


def report(error: BaseException) -> None:
    """Report an error, when there is somewhere to report it to. Returns at once."""
    import sentry_sdk

    if sentry_sdk.is_initialized():
        sentry_sdk.capture_exception(error)


def scrub(event: Any) -> Any:
    """An error report without request bodies, headers, cookies, addresses or secrets."""
    request = event.get("request", {})
    for name in ("data", "headers", "cookies", "env", "query_string"):
        request.pop(name, None)
    event.pop("user", None)
    return redact(event)
