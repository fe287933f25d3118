"""Pages: sign up, sign in, stay signed in, and look after one's sessions, as a browser does behind the gateway."""

import re
from datetime import timedelta

import pytest

from libs.common.auth.browser import SESSION_COOKIE
from libs.common.pages import LANGUAGES
from libs.common.testing import Harness
from services.auth.domain.lockout import FAILURES_ALLOWED
from services.auth.domain.tokens import ACCESS_TOKEN_LIFE
from services.auth.routes.pages.cookies import RENEWAL_COOKIE, RESET_COOKIE, VERIFY_COOKIE
from services.auth.routes.pages.words import BY_FIELD, BY_STATUS, NOTICES, REFUSALS, ROLES, waiting
from services.auth.tests.conftest import PASSWORD, Person, Time
from services.auth.tests.surfing import Surfer, boxes, tags

PUBLIC_PAGES = ("/login", "/register", "/forgot-password", "/verify-email", "/reset-password")
NEW_PASSWORD = "another one that nobody guesses"


@pytest.fixture
def surfer(harness: Harness) -> Surfer:
    """A browser that was never here."""
    return Surfer(harness)


@pytest.fixture
def at_home(surfer: Surfer, person: Person) -> Surfer:
    """A browser that is signed in."""
    sign_in(surfer, person)
    assert surfer.path == "/dashboard"
    return surfer


def sign_in(surfer: Surfer, person: Person, password: str = PASSWORD, address: str = "/login") -> None:
    surfer.open(address)
    surfer.submit("/login", email=person.email, password=password)


@pytest.mark.parametrize("path", PUBLIC_PAGES)
def test_a_page_is_in_the_language_that_was_asked_for_else_the_browsers(surfer: Surfer, path: str) -> None:
    for accepted, asked, language in (
        ("fr-CH, fr;q=0.9", "", "fr"),
        ("en", "", "en"),
        ("fr", "?lang=en", "en"),
        ("de", "?lang=fr", "fr"),
    ):
        surfer.language = accepted
        page = surfer.open(path + asked)

        assert (page.status_code, page.headers["Content-Language"]) == (200, language)
        assert f'<html lang="{language}">' in page.text
        actions = {each["action"] for each in tags(page.text, "form")}
        assert all(("lang=" + language in action) is bool(asked) for action in actions)


@pytest.mark.parametrize("path", PUBLIC_PAGES)
def test_a_page_runs_nothing_inline_and_refers_to_this_origin_alone(surfer: Surfer, path: str) -> None:
    page = surfer.open(path)

    assert re.search(r"<style|<script(?![^>]*\bsrc=)| style=| on[a-z]+=", page.text) is None
    assert re.findall(r'(?:href|src|action)="((?!/(?!/)|#)[^"]*)"', page.text) == []
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


def test_a_newcomer_signs_up_confirms_and_signs_in(surfer: Surfer, newcomer: Person) -> None:
    surfer.open("/register?lang=fr")
    surfer.submit("/register", email=newcomer.email, password=PASSWORD, display_name="Ada <b>", role="ARTIST")
    assert surfer.path == "/login"
    assert NOTICES["registered"][0] in surfer.page.text

    [mail] = newcomer.mails("VERIFY_EMAIL")
    assert mail["locale"] == "fr"
    surfer.open(mail["link"])
    assert surfer.path == "/verify-email"
    surfer.submit("/verify-email")
    assert NOTICES["verified"][1] in surfer.page.text
    assert VERIFY_COOKIE not in surfer.kept

    sign_in(surfer, newcomer)
    assert surfer.path == "/dashboard"
    assert "Bonjour, Ada &lt;b&gt;" in surfer.page.text
    assert "Artiste" in surfer.page.text
    assert 'aria-label="Vos sessions"' in surfer.page.text


def test_opening_a_mailed_link_spends_nothing_and_leaves_no_token_behind(surfer: Surfer, newcomer: Person) -> None:
    newcomer.register()
    link = newcomer.mails("VERIFY_EMAIL")[-1]["link"]

    for _ in range(3):
        scanner = Surfer(newcomer.harness)
        answer = scanner.open(link, follow=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/verify-email")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    surfer.open(link)
    assert "token=" not in surfer.page.request.url
    surfer.submit("/verify-email")

    assert NOTICES["verified"][1] in surfer.page.text
    surfer.open(link)
    surfer.submit("/verify-email")
    assert surfer.page.status_code == 400
    assert REFUSALS["TokenRefused"][1] in surfer.page.text


def test_a_token_is_taken_from_the_page_where_the_browser_keeps_no_cookie(surfer: Surfer, newcomer: Person) -> None:
    newcomer.register()
    surfer.open("/verify-email")
    surfer.submit("/verify-email", token="")
    assert surfer.page.status_code == 422
    assert BY_FIELD["token"][1] in surfer.page.text

    surfer.submit("/verify-email", token=newcomer.mails("VERIFY_EMAIL")[-1]["token"])

    assert NOTICES["verified"][1] in surfer.page.text


def test_a_token_that_no_cookie_can_hold_is_dropped(surfer: Surfer) -> None:
    surfer.open("/verify-email?token=a%3Bb%0D%0ASet-Cookie:%20x")

    assert surfer.path == "/verify-email"
    assert surfer.kept == {}


def test_signing_up_tells_nobody_whether_an_address_is_known(surfer: Surfer, person: Person) -> None:
    for path in ("/register", "/forgot-password"):
        answers = []
        for email in (person.email, "nobody@example.org"):
            surfer.open(path)
            more = {"password": PASSWORD, "display_name": "Ada", "role": "VIEWER"} if path == "/register" else {}
            answer = surfer.submit(path, follow=False, email=email, **more)
            answers.append((answer.status_code, answer.headers["Location"], answer.text))

        assert answers[0] == answers[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fault_of_a_form_is_shown_at_its_box_and_what_was_typed_stays_but_the_password(
    surfer: Surfer, language: str
) -> None:
    surfer.open(f"/register?lang={language}")
    surfer.submit("/register", email='no"body', password="short", display_name=" x", role="ADMIN")

    assert surfer.page.status_code == 422
    for name in ("email", "password", "display_name", "role"):
        assert f'id="{name}-fault">{BY_FIELD[name][language == "en"]}' in surfer.page.text
        assert f'href="#{name}"' in surfer.page.text
    kept = boxes(surfer.page.text, "/register")
    assert (kept["email"], kept["display_name"], kept["password"]) == ('no"body', " x", "")
    assert "short" not in surfer.page.text


def test_a_wrong_password_is_told_like_an_unknown_address(surfer: Surfer, person: Person) -> None:
    texts = []
    for email in (person.email, "nobody@example.org"):
        surfer.open("/login")
        answer = surfer.submit("/login", email=email, password="a wrong password")
        assert answer.status_code == 401
        texts.append(answer.text.replace(email, ""))

    assert texts[0] == texts[1]
    assert REFUSALS["WrongCredentials"][1] in texts[0]
    assert surfer.kept == {}


def test_who_is_locked_out_is_told_how_long_to_wait(surfer: Surfer, person: Person) -> None:
    for _ in range(FAILURES_ALLOWED):
        person.login("a wrong password")
    surfer.open("/login")
    surfer.submit("/login", email=person.email, password=PASSWORD)

    assert surfer.page.status_code == 429
    assert int(surfer.page.headers["Retry-After"]) > 0
    assert waiting(int(surfer.page.headers["Retry-After"]), "en") in surfer.page.text


@pytest.mark.parametrize(
    ("seconds", "english", "french"),
    [
        (1, "in 1 second.", "dans 1 seconde."),
        (59, "in 59 seconds.", "dans 59 secondes."),
        (60, "in 1 minute.", "dans 1 minute."),
        (61, "in 2 minutes.", "dans 2 minutes."),
        (900, "in 15 minutes.", "dans 15 minutes."),
    ],
)
def test_a_wait_is_told_in_words(seconds: int, english: str, french: str) -> None:
    assert waiting(seconds, "en").endswith(english)
    assert waiting(seconds, "fr").endswith(french)


def test_signing_in_leads_to_where_one_came_from_and_to_no_other_place(surfer: Surfer, person: Person) -> None:
    for asked, led in (
        ("/tasks?page=2", "/tasks?page=2"),
        ("//evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("https://evil.example", "/dashboard"),
        ("/\t/evil.example", "/dashboard"),
        ("%2F%2Fevil.example", "/dashboard"),
    ):
        browser = Surfer(person.harness)
        browser.open("/login")
        answer = browser.submit("/login", follow=False, email=person.email, password=PASSWORD, callbackUrl=asked)
        assert (answer.status_code, answer.headers["Location"]) == (303, led)
    surfer.open("/login?callbackUrl=%2Ftasks%3Fpage%3D2")
    assert boxes(surfer.page.text, "/login")["callbackUrl"] == "/tasks?page=2"
    surfer.open("/login?callbackUrl=%2F%2Fevil.example")
    assert "callbackUrl" not in boxes(surfer.page.text, "/login")
    assert "evil.example" not in surfer.page.text


def test_who_is_led_on_to_another_program_goes_by_a_page_and_not_by_a_redirect_of_the_form(
    surfer: Surfer, person: Person
) -> None:
    surfer.open("/login?callbackUrl=%2Foauth%2Fauthorize%3Frequest%3Dx%26y%3D%2522")
    page = surfer.submit("/login", email=person.email, password=PASSWORD)

    assert page.status_code == 200
    assert RENEWAL_COOKIE in surfer.kept
    assert [each["content"] for each in tags(page.text, "meta") if "http-equiv" in each] == [
        "0;url=/oauth/authorize?request=x&y=%22"
    ]


def test_a_browser_keeps_two_cookies_that_no_script_reads(surfer: Surfer, person: Person) -> None:
    surfer.open("/login")
    cookies = surfer.submit("/login", follow=False, email=person.email, password=PASSWORD).headers.getlist("Set-Cookie")

    assert [each.partition("=")[0] for each in cookies] == [SESSION_COOKIE, RENEWAL_COOKIE]
    assert all(each.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax") for each in cookies)
    assert f"Max-Age={int(ACCESS_TOKEN_LIFE.total_seconds())};" in cookies[0]


def test_a_browser_stays_signed_in_when_its_access_token_has_run_out(at_home: Surfer) -> None:
    before = dict(at_home.kept)
    del at_home.kept[SESSION_COOKIE]  # as browsers do after its Max-Age

    answer = at_home.open("/login?callbackUrl=%2Fdashboard", follow=False)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
    assert at_home.kept[RENEWAL_COOKIE] != before[RENEWAL_COOKIE]
    assert at_home.open("/dashboard").status_code == 200


def test_parallel_tabs_renew_to_the_same_session(at_home: Surfer) -> None:
    tabs = [Surfer(at_home.harness, kept={RENEWAL_COOKIE: at_home.kept[RENEWAL_COOKIE]}) for _ in range(3)]
    for tab in tabs:
        assert tab.open("/login").status_code == 200

    assert len({tab.kept[RENEWAL_COOKIE] for tab in tabs}) == 1


def test_a_session_that_cannot_be_renewed_is_forgotten_and_the_form_is_shown(at_home: Surfer, person: Person) -> None:
    person.post("/auth/logout-all", token=at_home.kept[SESSION_COOKIE])

    page = at_home.open("/login?callbackUrl=%2Ftasks")

    assert page.status_code == 200
    assert at_home.kept == {}
    assert boxes(page.text, "/login")["callbackUrl"] == "/tasks"


def test_a_stolen_refresh_token_ends_the_session_at_the_page_too(at_home: Surfer, time: Time) -> None:
    thief = Surfer(at_home.harness, kept={RENEWAL_COOKIE: at_home.kept[RENEWAL_COOKIE]})
    at_home.open("/login")
    time.passes(timedelta(seconds=11))
    thief.open("/login")
    assert thief.path == "/login"

    at_home.open("/login")

    assert at_home.path == "/login"
    assert at_home.kept == {}


def test_who_has_to_sign_in_again_is_asked_although_the_session_lives_and_the_old_one_ends(
    at_home: Surfer, person: Person
) -> None:
    old = at_home.kept[SESSION_COOKIE]

    at_home.open("/login?prompt=login&callbackUrl=%2Fdashboard")
    assert at_home.path == "/login"
    at_home.submit("/login", email=person.email, password=PASSWORD)

    assert at_home.path == "/dashboard"
    sessions = person.call("GET", "/auth/sessions", token=at_home.kept[SESSION_COOKIE]).get_json()["items"]
    assert len(sessions) == 1
    assert at_home.kept[SESSION_COOKIE] != old


def test_signing_out_ends_the_session_and_the_browser_forgets_it(at_home: Surfer, person: Person) -> None:
    other = person.signed_in()["access_token"]
    del at_home.kept[SESSION_COOKIE]

    at_home.submit("/sign-out")

    assert NOTICES["signed_out"][1] in at_home.page.text
    assert at_home.kept == {}
    assert len(person.call("GET", "/auth/sessions", token=other).get_json()["items"]) == 1
    assert at_home.send("/sign-out", {}).status_code == 200


def test_the_dashboard_ends_one_session_or_all_others(at_home: Surfer, person: Person) -> None:
    for _ in range(3):
        person.signed_in()
    at_home.open("/dashboard?lang=en")
    assert len(tags(at_home.page.text, "form")) == 1 + 3 + 1

    at_home.submit("/dashboard/sessions/end")
    assert NOTICES["ended"][1] in at_home.page.text
    assert len(tags(at_home.page.text, "form")) == 1 + 2 + 1
    at_home.submit("/dashboard/sessions/end-others")
    assert NOTICES["others_ended"][1] in at_home.page.text
    assert len(tags(at_home.page.text, "form")) == 1

    assert at_home.send("/dashboard/sessions/end", {"session_id": "x"}).status_code == 422
    gone = at_home.send("/dashboard/sessions/end", {"session_id": "01890a5d-ac96-774b-bcce-b302099a8057"})
    assert gone.status_code == 404
    assert REFUSALS["UnknownSession"][0] in gone.text


def test_who_comes_back_to_the_address_of_a_form_is_led_to_the_dashboard(at_home: Surfer) -> None:
    for path in ("/dashboard/sessions/end", "/dashboard/sessions/end-others", "/dashboard/nothing"):
        assert at_home.open(path).status_code == 200
        assert at_home.path == "/dashboard"


def test_the_dashboard_speaks_the_language_of_the_account_unless_another_is_asked_for(at_home: Surfer) -> None:
    assert at_home.open("/dashboard").headers["Content-Language"] == "fr"
    assert at_home.open("/dashboard?lang=en").headers["Content-Language"] == "en"


def test_a_forgotten_password_is_replaced_by_the_mailed_link(at_home: Surfer, person: Person) -> None:
    at_home.open("/forgot-password?lang=en")
    at_home.submit("/forgot-password", email=person.email)
    assert at_home.path == "/dashboard"
    assert NOTICES["reset_sent"][1] in at_home.page.text
    person.harness.run_job("mail_resets")
    at_home.open(person.mails("RESET_PASSWORD")[-1]["link"])
    at_home.submit("/reset-password", password="short")
    assert at_home.page.status_code == 422
    at_home.submit("/reset-password", password=NEW_PASSWORD)

    assert NOTICES["reset"][1] in at_home.page.text
    assert RESET_COOKIE not in at_home.kept
    assert SESSION_COOKIE not in at_home.kept
    sign_in(at_home, person, NEW_PASSWORD)
    assert at_home.path == "/dashboard"


@pytest.mark.parametrize("path", ["/login", "/register", "/forgot-password", "/reset-password", "/verify-email", "/sign-out"])
def test_a_form_from_another_site_is_refused_also_where_nobody_is_signed_in(surfer: Surfer, person: Person, path: str) -> None:
    form = {"email": person.email, "password": PASSWORD}
    for origin in ("https://evil.example", "null", ""):
        answer = surfer.send(path, form, Origin=origin)
        assert answer.status_code == 403
        assert "text/html" in answer.headers["Content-Type"]
    assert surfer.kept == {}


def test_password_managers_know_every_box(surfer: Surfer) -> None:
    expected = {
        "/login": {"email": "username", "password": "current-password"},
        "/register": {"email": "username", "password": "new-password", "display_name": "nickname"},
        "/forgot-password": {"email": "username"},
        "/reset-password": {"password": "new-password"},
    }
    for path, wanted in expected.items():
        found = {each["name"]: each.get("autocomplete") for each in tags(surfer.open(path).text, "input") if "name" in each}
        assert {name: found[name] for name in wanted} == wanted


def test_every_sentence_stands_in_both_languages() -> None:
    for sentences in (BY_FIELD, BY_STATUS, NOTICES, REFUSALS, ROLES):
        for french, english in sentences.values():
            assert french
            assert english
            assert french != english
