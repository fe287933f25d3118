"""A process that errs, for tests of reports: `python -m libs.common.tests.erring DSN TIMES`; without a DSN, `-`."""

import sys

from libs.common.telemetry import configure_logs, configure_reports, context, logger

PASSWORD = "a-password-of-somebody"  # pragma: allowlist secret
EMAIL = "ada@example.org"
TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"  # pragma: allowlist secret
DATABASE = "postgresql://lumiere:word-of-the-database@db/lumiere"  # pragma: allowlist secret
SECRETS = (PASSWORD, EMAIL, TOKEN, "word-of-the-database")


def err(password: str) -> None:
    """Fail with everything in sight that must not be told: in a local variable, in the message, in its cause."""
    try:
        raise ConnectionError(f"cannot reach {DATABASE}")
    except ConnectionError as cause:
        raise ValueError(f"{EMAIL} sent {TOKEN}; {len(password)} characters") from cause


def main(dsn: str, times: str) -> None:
    """Err so many times, then end."""
    configure_logs("erring", "web")
    configure_reports("erring", "test", None if dsn == "-" else dsn)
    log = logger(__name__)
    with context.bound(request_id="request-of-the-test"):
        for number in range(int(times)):
            try:
                err(PASSWORD)
            except ValueError:
                log.exception("http.unforeseen", operation="erring.err", number=number, password=PASSWORD)
    log.warning("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
