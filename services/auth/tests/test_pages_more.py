"""Pages of second factors, of consent and of devices."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import pytest

from libs.common import clock
from libs.common.auth.browser import RENEWAL_COOKIE, SESSION_COOKIE
from libs.common.auth.policy import Scope
from libs.common.testing import Harness
from services.auth.domain.clients import COMMAND_LINE, ApplicationType, AuthMethod
from services.auth.domain.factors import CHALLENGE_LIFE
from services.auth.domain.totp import STEP_SECONDS
from services.auth.routes.pages.words import NOTICES, REFUSALS, SCOPES
from services.auth.tests.authenticator import Authenticator
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.relying import CALLBACK, App, an_app, claims_of
from services.auth.tests.surfing import Surfer, boxes, form_to, tags

ENGLISH = "?lang=en"


@pytest.fixture
def at_home(harness: Harness, person: Person) -> Surfer:
    """A browser that is signed in."""
    surfer = Surfer(harness)
    surfer.open("/login")
    surfer.submit("/login", email=person.email, password=PASSWORD)
    assert surfer.path == "/dashboard"
    return surfer


def code(secret: str, steps: int = 0) -> str:
    """What an authenticator app shows, so many steps from now."""
    return pyotp.TOTP(secret).at(int(clock.epoch()) + steps * STEP_SECONDS)


def set_up_an_app(surfer: Surfer) -> tuple[str, list[str]]:
    """Add an authenticator app; its secret and the recovery codes."""
    surfer.open(f"/security{ENGLISH}")
    surfer.submit("/security/totp")
    secret = boxes(surfer.page.text, "/security/totp/confirm")["secret"]
    surfer.submit("/security/totp/confirm", otp=code(secret, -1))
    assert surfer.page.status_code == 200, surfer.page.text
    return secret, [each.partition("</code>")[0] for each in surfer.page.text.split("<li><code>")[1:]]


def password_given(surfer: Surfer, person: Person, callback: str = "") -> None:
    """Sign in as far as the password goes."""
    surfer.open(f"/login{ENGLISH}&prompt=login&callbackUrl={callback}")
    surfer.submit("/login", email=person.email, password=PASSWORD)


@pytest.mark.parametrize("text", ["[" * 10_000, '{"id":' * 1_500, "9" * 10_000, "NaN", "{"])
def test_what_no_script_of_ours_puts_into_a_box_is_a_fault_of_the_form(harness: Harness, text: str) -> None:
    surfer = Surfer(harness)
    assert surfer.send("/login/passkey", {"passkey": text}).status_code == 422


def test_an_authenticator_app_is_set_up_and_then_asked_for(at_home: Surfer, person: Person, time: Time) -> None:
    at_home.open(f"/security{ENGLISH}")
    at_home.submit("/security/totp")
    secret = boxes(at_home.page.text, "/security/totp/confirm")["secret"]
    at_home.submit("/security/totp/confirm", otp="000000")
    assert at_home.page.status_code == 403
    assert REFUSALS["WrongCode"][1] in at_home.page.text
    assert secret in at_home.page.text
    at_home.submit("/security/totp/confirm", otp="12345")
    assert at_home.page.status_code == 422
    at_home.submit("/security/totp/confirm", otp=code(secret, -1))
    assert at_home.page.text.count("<li><code>") == 10
    assert "mfa" in claims_of(at_home.kept[SESSION_COOKIE])["amr"]

    fresh = Surfer(at_home.harness)
    password_given(fresh, person, "%2Ftasks")
    assert fresh.signed_out
    fresh.submit("/login/second-factor", otp="000000")
    assert fresh.page.status_code == 401
    assert REFUSALS["WrongSecondFactor"][1] in fresh.page.text
    fresh.submit("/login/second-factor", otp=code(secret))
    assert fresh.page.status_code == 429
    assert REFUSALS["AttemptTooSoon"][1] in fresh.page.text
    time.passes(timedelta(seconds=int(fresh.page.headers["Retry-After"])))
    answer = fresh.submit("/login/second-factor", follow=False, otp=code(secret))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/tasks")
    assert "mfa" in claims_of(fresh.kept[SESSION_COOKIE])["amr"]


def test_a_recovery_code_completes_one_sign_in(at_home: Surfer, person: Person) -> None:
    _, codes = set_up_an_app(at_home)
    fresh = Surfer(at_home.harness)
    for expected in ("/dashboard", "/login/second-factor"):
        password_given(fresh, person)
        form = next(each for each in fresh.page.text.split("<form")[1:] if 'name="recovery_code"' in each)
        hidden = {each["name"]: each.get("value", "") for each in tags(form, "input")}
        fresh.send("/login/second-factor", {**hidden, "recovery_code": codes[0].upper()})
        assert fresh.path == expected


def test_a_sign_in_that_took_too_long_begins_again(at_home: Surfer, person: Person, time: Time) -> None:
    secret, _ = set_up_an_app(at_home)
    fresh = Surfer(at_home.harness)
    password_given(fresh, person, "%2Ftasks")
    time.passes(CHALLENGE_LIFE + timedelta(seconds=1))
    fresh.submit("/login/second-factor", otp=code(secret))

    assert fresh.page.status_code == 401
    assert REFUSALS["SignInOver"][1] in fresh.page.text
    assert boxes(fresh.page.text, "/login")["callbackUrl"] == "/tasks"


@pytest.mark.parametrize("sent", [{}, {"otp": ""}, {"otp": "123456", "recovery_code": "mzxw-6ytb-oi2d-onrq"}, {"passkey": "{"}])
def test_a_second_factor_is_exactly_one(at_home: Surfer, person: Person, sent: dict[str, str]) -> None:
    set_up_an_app(at_home)
    fresh = Surfer(at_home.harness)
    password_given(fresh, person)
    challenge = boxes(fresh.page.text, "/login/second-factor")["challenge"]

    assert fresh.send("/login/second-factor", {"challenge": challenge, "methods": "totp", **sent}).status_code == 422
    assert fresh.signed_out


def test_factors_are_taken_away_and_codes_made_anew(at_home: Surfer) -> None:
    _, codes = set_up_an_app(at_home)
    at_home.open(f"/security{ENGLISH}")
    at_home.submit("/security/recovery-codes")
    assert at_home.page.text.count("<li><code>") == 10
    assert codes[0] not in at_home.page.text

    at_home.open(f"/security{ENGLISH}")
    at_home.submit("/security/remove")

    assert NOTICES["factor_removed"][1] in at_home.page.text
    assert "Recovery codes" not in at_home.page.text


def test_a_passkey_is_added_and_opens_the_account_alone(at_home: Surfer, person: Person) -> None:
    authenticator = Authenticator()
    bearer = {"Authorization": f"Bearer {at_home.kept[SESSION_COOKIE]}"}
    begun = at_home.harness.client().post("/api/v1/auth/passkeys/registration-options", headers=bearer)
    made = authenticator.make(begun.get_json()["public_key"])
    at_home.open(f"/security{ENGLISH}")
    at_home.submit("/security/passkeys", label=" x", passkey=json.dumps(made))
    assert at_home.page.status_code == 422
    at_home.submit("/security/passkeys", label="My <telephone>", passkey=json.dumps(made))
    assert at_home.page.text.count("<li><code>") == 10
    assert "My &lt;telephone&gt;" in at_home.open("/security").text

    fresh = Surfer(at_home.harness)
    asked = at_home.harness.client().post("/api/v1/auth/passkeys/authentication-options").get_json()["public_key"]
    fresh.open("/login?callbackUrl=%2Ftasks")
    answer = fresh.submit("/login/passkey", follow=False, passkey=json.dumps(authenticator.use(asked)))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/tasks")
    again = fresh.send("/login/passkey", {"passkey": json.dumps(authenticator.use(asked))})
    assert again.status_code == 401


def test_whose_role_waits_for_a_second_factor_is_told_so_on_the_dashboard(at_home: Surfer) -> None:
    claims = claims_of(at_home.kept[SESSION_COOKIE])
    subject = at_home.harness.subject(id=claims["sub"], session_id=claims["sid"])
    at_home.kept[SESSION_COOKIE] = at_home.harness.token(subject, roles="")

    assert at_home.open(f"/dashboard{ENGLISH}").status_code == 200
    assert "Your role holds only with a second factor" in at_home.page.text
    assert at_home.open(f"/security{ENGLISH}").status_code == 200


def asked(app: App, **changes: str) -> str:
    """Where a program sends people."""
    return f"/oauth/authorize?{urlencode(app.asks(**changes))}"


def led_on(surfer: Surfer) -> dict[str, str]:
    """What the page that leads on to the program brings there."""
    [onward] = [each["content"] for each in tags(surfer.page.text, "meta") if "http-equiv" in each]
    address = onward.removeprefix("0;url=")
    assert address.startswith(CALLBACK)
    assert surfer.page.headers["Referrer-Policy"] == "no-referrer"
    return dict(parse_qsl(urlsplit(address).query))


def test_a_person_is_asked_what_a_program_may_do_and_says_yes(at_home: Surfer, harness: Harness) -> None:
    app = an_app(harness)
    at_home.open(asked(app, scope="openid tasks:read"))
    assert at_home.path == "/oauth/consent"
    assert "Cinémathèque" in at_home.page.text
    assert "<code>app.example</code>" in at_home.page.text
    assert [SCOPES[each][0] in at_home.page.text for each in (Scope.OPENID, Scope.TASKS_READ, Scope.EMAIL)] == [
        True,
        True,
        False,
    ]

    at_home.submit("/oauth/consent", answer="grant")

    assert app.exchange(led_on(at_home)["code"]).status_code == 200
    again = at_home.open(asked(app, scope="openid tasks:read"), follow=False)
    assert again.headers["Location"].startswith(CALLBACK)


def test_a_person_says_no_and_an_answer_counts_once(at_home: Surfer, harness: Harness) -> None:
    at_home.open(asked(an_app(harness)))
    action = tags(form_to(at_home.page.text, "/oauth/consent"), "form")[0]["action"]
    assert at_home.send(action, {"answer": "maybe"}).status_code == 422
    at_home.send(action, {"answer": "deny"})
    assert led_on(at_home)["error"] == "access_denied"

    assert at_home.send(action, {"answer": "grant"}).status_code == 404
    assert REFUSALS["RequestGone"][0] in at_home.page.text
    assert at_home.open(action).status_code == 404


def test_who_is_not_signed_in_signs_in_first_and_comes_back_to_the_question(harness: Harness, person: Person) -> None:
    surfer, app = Surfer(harness), an_app(harness)
    surfer.open(asked(app))
    assert surfer.path == "/login"
    page = surfer.submit("/login", email=person.email, password=PASSWORD)
    [onward] = [each["content"] for each in tags(page.text, "meta") if "http-equiv" in each]
    surfer.open(onward.removeprefix("0;url="))

    assert surfer.path == "/oauth/consent"
    assert RENEWAL_COOKIE in surfer.kept
    surfer.submit("/oauth/consent", answer="grant")
    assert app.exchange(led_on(surfer)["code"]).status_code == 200


def test_a_question_is_answered_by_whom_it_was_put_to(at_home: Surfer, harness: Harness, person: Person) -> None:
    at_home.open(asked(an_app(harness)))
    action = tags(form_to(at_home.page.text, "/oauth/consent"), "form")[0]["action"]
    other = Surfer(harness)
    other.open("/login")
    other.submit("/login", email=person.email, password=PASSWORD)

    assert other.open(action).status_code == 404
    assert other.send(action, {"answer": "grant"}).status_code == 404


def test_a_program_on_a_device_is_named_as_what_anybody_may_call_themselves(at_home: Surfer, harness: Harness) -> None:
    native = {"application_type": ApplicationType.NATIVE, "redirect_uris": ["http://127.0.0.1/cb"]}
    app = an_app(harness, AuthMethod.NONE, **native)
    at_home.open(asked(app, redirect_uri="http://127.0.0.1:4321/cb"))

    assert "n’importe lequel peut prendre ce nom" in at_home.page.text
    assert "<code>127.0.0.1</code>" in at_home.page.text


@pytest.fixture
def offered(harness: Harness) -> str:
    """The code that a device shows."""
    device = App(harness, str(COMMAND_LINE), None, AuthMethod.NONE)
    answer = device.post("/oauth/device_authorization", {"scope": "openid tasks:read"}).get_json()
    assert urlsplit(answer["verification_uri"]).path == "/device"
    return str(answer["user_code"])


@pytest.mark.parametrize(("answer", "told"), [("grant", "device_allowed"), ("deny", "device_refused")])
def test_a_device_is_let_in_or_not_by_who_types_its_code(at_home: Surfer, offered: str, answer: str, told: str) -> None:
    at_home.open("/device?lang=en")
    at_home.submit("/device", user_code="BBBB-BBBB")
    assert at_home.page.status_code == 404
    assert REFUSALS["UnknownUserCode"][1] in at_home.page.text
    at_home.submit("/device", user_code=f" {offered.lower()} ")
    assert f"<code>{offered}</code>" in at_home.page.text
    assert SCOPES[Scope.TASKS_READ][1] in at_home.page.text

    at_home.submit("/device", answer=answer)

    assert NOTICES[told][1] in at_home.page.text
    assert at_home.send("/device", {"user_code": offered, "answer": "grant"}).status_code == 404


def test_a_link_fills_in_a_devices_code_and_lets_nothing_in_by_itself(at_home: Surfer, offered: str) -> None:
    at_home.open(f"/device?user_code={offered}")

    assert boxes(at_home.page.text, "/device")["user_code"] == offered
    at_home.submit("/device")
    assert f"<code>{offered}</code>" in at_home.page.text
