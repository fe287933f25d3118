"""Reports of errors: redacted on the wire, never waited for, and without a DSN not made."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common.tests.erring import SECRETS
from libs.common.tests.fake_sentry import PROJECT, PUBLIC_KEY, FakeSentry

ROOT = Path(__file__).resolve().parents[3]
REFUSED = "http://fakepublickey@127.0.0.1:9/7"
"""Nobody listens on the port for discarding (RFC 863) of this machine."""
WITHIN_SECONDS = 60
TIMES = 150
"""More errors than the library keeps waiting for a Sentry that does not answer."""


def erring(dsn: str, times: int = 1) -> tuple[int, list[dict[str, object]]]:
    """A process that errs and ends by itself: its exit status and the lines of its log."""
    command = [sys.executable, "-m", "libs.common.tests.erring", dsn, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_SECONDS, cwd=ROOT, check=False)
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def test_an_error_that_is_logged_is_reported_without_anything_personal_or_secret() -> None:
    with FakeSentry() as sentry:
        status, lines = erring(sentry.dsn)
        (told,) = sentry.envelopes

    assert (status, [line["event"] for line in lines]) == (0, ["http.unforeseen", "done"])
    assert told.startswith(f"/api/{PROJECT}/envelope/ Sentry ")
    assert PUBLIC_KEY in told
    event = json.loads(told.splitlines()[-1])
    assert [each["type"] for each in event["exception"]["values"]] == ["ConnectionError", "ValueError"]
    assert (event["environment"], event["server_name"]) == ("test", "erring")
    assert [secret for secret in SECRETS if secret in told or secret in json.dumps(lines)] == []
    assert "vars" not in told
    assert "user" not in event


@pytest.mark.parametrize(
    "mute",
    [
        pytest.param(True, id="takes connections and never answers", marks=pytest.mark.long),
        pytest.param(False, id="refuses connections", marks=pytest.mark.long),
    ],
)
def test_where_reports_cannot_be_delivered_nothing_waits_and_the_log_tells_all(mute: bool) -> None:
    with FakeSentry(mute=True) as sentry:
        status, lines = erring(sentry.dsn if mute else REFUSED, times=TIMES)
        # It has ended, although nobody has answered it to this moment.
        assert not sentry.ending.is_set()
        assert sentry.asked.is_set() is mute

    assert (status, len(lines), lines[-1]["event"]) == (0, TIMES + 1, "done")


def test_without_a_dsn_the_log_alone_tells() -> None:
    status, lines = erring("-", times=2)

    assert (status, [line["event"] for line in lines]) == (0, ["http.unforeseen"] * 2 + ["done"])
    assert all("ValueError" in str(line["exception"]) for line in lines[:2])
