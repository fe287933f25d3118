"""What is mailed, typed or kept on a device reaches no log and no event in clear, even before anything is redacted."""

from typing import Any

import structlog

from libs.common.testing import Harness
from services.auth.tests.conftest import PASSWORD, Person

NEW, BETTER = "ada@new.example.org", "a better password"


def everything(harness: Harness) -> set[str]:
    """Go through every mail flow; all secrets that came about."""
    person, new = Person(harness, "ada@example.org"), Person(harness, NEW)
    person.register()
    person.post("/auth/verify-email/resend", {"email": person.email})
    harness.run_job("mail_links")
    person.verify()
    person.login("a wrong password")
    tokens: dict[str, Any] = person.signed_in()
    person.post("/auth/email/change", {"new_email": NEW, "current_password": PASSWORD}, tokens["access_token"])
    for token in (person.mails("CHANGE_EMAIL")[-1]["token"], new.mails("CONFIRM_NEW_EMAIL")[-1]["token"]):
        assert person.post("/auth/email/confirm", {"token": token}).status_code == 200
    new.post("/auth/password/forgot", {"email": NEW})
    harness.run_job("mail_links")
    body = {"token": new.mails("RESET_PASSWORD")[-1]["token"], "password": BETTER}
    assert new.post("/auth/password/reset", body).status_code == 204
    assert new.post("/auth/password/reset", body).status_code == 400
    mailed = {each["token"] for somebody in (person, new) for each in somebody.mails() if "token" in each}
    assert len(mailed) == 5
    issued = {tokens[name] for name in ("access_token", "refresh_token", "device_token")}
    return mailed | issued | {person.email, NEW, PASSWORD, BETTER, "a wrong password"}


def test_no_log_line_holds_a_token_an_address_or_a_password(harness: Harness) -> None:
    with structlog.testing.capture_logs() as entries:
        secrets = everything(harness)
    lines = [str(entry) for entry in entries]
    assert len(lines) > 10
    assert [secret for secret in secrets if any(secret in line for line in lines)] == []


def test_no_event_holds_one_in_clear(harness: Harness) -> None:
    secrets = everything(harness)
    bodies = b"".join(each.encode() for each in harness.published())
    assert b"auth.email.requested" in bodies
    assert [secret for secret in secrets if secret.encode() in bodies] == []
