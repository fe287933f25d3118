"""A refresh token is stolen; its owner goes on as before, and that is what ends the theft."""

from typing import Any

import pyotp
import pytest

from libs.common import clock
from ops.demo.client import API, wait_for
from ops.demo.mailbox import mails_to, text_of
from services.auth.domain.sessions import REPEAT_WINDOW
from services.auth.domain.totp import STEP_SECONDS
from tests.journeys.inside import Inside
from tests.journeys.people import POLL_SECONDS, Person, Studio
from tests.journeys.test_revocation import require_refused_everywhere

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def owner(studio: Studio) -> Person:
    return studio.newcomer("Marie Lafaye")


def refresh(person: Person) -> int:
    """Exchange the refresh token at the gateway; the new tokens are the person's."""
    answer = person.http.post(f"{API}/auth/refresh", json={"refresh_token": person.tokens["refresh_token"]})
    if answer.status_code == 200:
        person.tokens = answer.json()
    return answer.status_code


def window_passes(inside: Inside, session_id: str) -> None:
    """Let the tokens of a session have been spent longer ago than answers are repeated."""
    seconds = REPEAT_WINDOW.total_seconds() + 1
    statement = "UPDATE auth.refresh_token SET used_at = used_at - make_interval(secs => :seconds) WHERE session_id = :session"
    assert inside.execute(statement, seconds=seconds, session=session_id) >= 1


def notices(studio: Studio, person: Person) -> list[str]:
    return [" ".join(text_of(mail).split()) for mail in mails_to(studio.platform.mail, person.email)]


def test_the_owners_next_refresh_puts_the_thief_out_everywhere_within_a_second(
    studio: Studio, inside: Inside, owner: Person
) -> None:
    device, elsewhere = studio.another_session(owner), studio.another_session(owner)
    session_id = device.tokens["session_id"]
    thief = studio.another_session(owner)
    thief.tokens = dict(device.tokens)
    assert refresh(thief) == 200
    assert thief.status() == device.status() == 200
    window_passes(inside, session_id)

    assert refresh(device) == 401

    for person in (thief, device):
        require_refused_everywhere(inside, person)
    assert refresh(thief) == refresh(device) == 401
    assert elsewhere.status() == 200
    wait_for(
        "the mail about the copied key",
        lambda: any("renewed twice" in each for each in notices(studio, owner)),
        every=POLL_SECONDS,
    )
    acts = inside.rows(
        "SELECT id, outcome FROM auth.audit_record WHERE action = 'session.refresh_token_reused' AND entity_id = :owner",
        owner=owner.id,
    )
    assert [each.outcome for each in acts] == ["revoked"]
    proofs = {"type": "auth.audit.recorded", "entity_id": str(acts[0].id)}
    wait_for("its proof", lambda: studio.anyone.get("/proofs", params=proofs)["items"], every=POLL_SECONDS)


def test_a_lost_answer_logs_nobody_out(studio: Studio, owner: Person) -> None:
    device = studio.another_session(owner)
    tab = studio.another_session(owner)
    tab.tokens = dict(device.tokens)
    assert refresh(device) == refresh(tab) == 200
    assert device.tokens["refresh_token"] == tab.tokens["refresh_token"]
    assert device.status() == 200


def test_all_other_sessions_are_out_at_once_and_this_one_goes_on(studio: Studio, inside: Inside, owner: Person) -> None:
    here, there = studio.another_session(owner), studio.another_session(owner)
    here.post("/auth/sessions/revoke-others", status=204)
    require_refused_everywhere(inside, there)
    assert here.status() == 200


def test_a_new_password_ends_every_session(studio: Studio, inside: Inside) -> None:
    person = studio.newcomer("Claire Brunnet")
    device = studio.another_session(person)
    new = f"{person.password}!"
    person.post("/auth/password/change", {"current_password": person.password, "new_password": new}, status=204)
    for each in (person, device):
        require_refused_everywhere(inside, each)
    person.sign_in(person.email, new)
    assert person.status() == 200


def test_with_a_second_factor_a_stolen_password_opens_nothing(studio: Studio) -> None:
    person = studio.newcomer("Suzanne Duval")
    secret = person.post("/auth/mfa/totp")["secret"]

    def code(steps: int) -> str:
        return pyotp.TOTP(secret).at(int(clock.epoch()) + steps * STEP_SECONDS)

    person.post("/auth/mfa/totp/confirm", {"otp": code(0)})
    stolen: dict[str, Any] = {"email": person.email, "password": person.password}
    refused = person.http.post(f"{API}/auth/login", json=stolen)
    assert (refused.status_code, refused.json()["code"]) == (401, "mfa_required")
    before = person.http.delete(f"{API}/auth/mfa/totp", headers=person.authorization)
    assert before.status_code == 401, "the token is from before the factor"
    assert before.headers["WWW-Authenticate"].endswith('acr_values="mfa"')
    challenge = refused.json()["challenge"]
    person.tokens = person.post("/auth/login/second-factor", {"challenge": challenge, "otp": code(1)})
    person.call("DELETE", "/auth/mfa/totp", status=204)
