"""A refusal is a page for a person and a problem document for a program, and nothing that was sent comes back as markup."""

import json
import re

import httpx
import pytest

from gateway.answers import Answers
from gateway.compiler import compile_configuration
from gateway.maintenance import Decision
from gateway.manifest import ROOT, read
from gateway.problems import ERRORS, KINDS
from gateway.site.words import BY_DECISION, words
from gateway.tests.running import UUID_TEXT, RunningGateway, eventually
from gateway.tests.test_requests import HTML, get, raw
from libs.common import clock
from libs.common.auth.policy import Role
from libs.common.errors import PROBLEM_MEDIA_TYPE
from libs.common.pages import LANGUAGES, PAGE_POLICY
from libs.common.pages.words import BY_STATUS

FRENCH = {**HTML, "Accept-Language": "fr-CA,fr;q=0.9,en;q=0.8"}
ENGLISH = {**HTML, "Accept-Language": "en-GB,en;q=0.9"}
HOSTILE = "<script>alert(1)</script>"


def refusals(shared: RunningGateway) -> list[tuple[str, str, int, dict[str, str]]]:
    """One request for each status that a rule answers."""
    thing = f"/api/v1/things/{UUID_TEXT}"
    return [
        ("GET", "/api/v1//echo", 400, {}),
        ("GET", "/api/v1/mine", 401, {}),
        ("GET", "/api/v1/admin/things", 403, shared.bearer(Role.VIEWER)),
        ("GET", "/nothing", 404, {}),
        ("POST", "/api/v1/mine", 405, {}),
        ("POST", f"{thing}/claim", 413, {**shared.bearer(Role.CONTRIBUTOR), "Content-Length": "70000"}),
        ("GET", f"/{'x' * 9_000}", 414, {}),
        ("GET", "/api/v1/echo", 431, {"X-Long": "x" * 17_000}),
        ("GET", "/api/v1/slow", 504, {}),
    ]


def test_every_refusal_is_a_page_for_a_person_with_the_same_status_and_headers(shared: RunningGateway) -> None:
    for method, path, status, headers in refusals(shared):
        page, document = (
            httpx.request(method, f"{shared.url}{path}", headers={**headers, **accept}, content=_body(headers))
            for accept in (FRENCH, {"Accept": "application/json"})
        )

        assert (page.status_code, document.status_code) == (status, status), path
        assert document.headers["content-type"] == PROBLEM_MEDIA_TYPE
        assert document.json()["request_id"] == document.headers["x-request-id"]
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"] == PAGE_POLICY
        assert page.headers["content-language"] == "fr"
        assert BY_STATUS["fr"][status].title in page.text
        assert page.headers["x-request-id"] in page.text
        for name in ("allow", "www-authenticate", "retry-after", "cache-control"):
            assert page.headers.get(name) == document.headers.get(name), (path, name)
        assert "x-decision" not in page.headers


def _body(headers: dict[str, str]) -> bytes | None:
    return b"x" * int(headers["Content-Length"]) if "Content-Length" in headers else None


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("fr", "fr"),
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        ("en;q=0.5,fr", "fr"),
        ("fr;q=0,en", "en"),
        ("de-DE,de;q=0.9", "en"),
        ("*", "en"),
        ("", "en"),
        (None, "en"),
        (HOSTILE, "en"),
    ],
)
def test_the_page_is_in_the_language_that_the_reader_prefers(accepted: str | None, language: str, client: httpx.Client) -> None:
    answer = client.get("/nothing", headers={**HTML, **({} if accepted is None else {"Accept-Language": accepted})})

    assert answer.headers["content-language"] == language
    assert f'<html lang="{language}">' in answer.text


@pytest.mark.parametrize(
    ("accepted", "media_type"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("TEXT/HTML", "text/html; charset=utf-8"),
        ("application/json", PROBLEM_MEDIA_TYPE),
        ("application/json, text/html", PROBLEM_MEDIA_TYPE),
        ("text/html, application/problem+json", PROBLEM_MEDIA_TYPE),
        ("*/*", PROBLEM_MEDIA_TYPE),
        ("text/event-stream", PROBLEM_MEDIA_TYPE),
        ("", PROBLEM_MEDIA_TYPE),
    ],
)
def test_who_asks_for_html_and_not_for_json_gets_a_page(accepted: str, media_type: str, client: httpx.Client) -> None:
    assert client.get("/nothing", headers={"Accept": accepted}).headers["content-type"] == media_type


@pytest.mark.parametrize(
    "target",
    [
        f"/{HOSTILE}",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/&lt;script&gt;alert(1)&lt;/script&gt;",
        "/'onmouseover='alert(1)",
        f"/nothing?{HOSTILE}",
        "/@path@/@request_id@",
        "/%25%5Bvar(txn.token)%5D",
    ],
)
def test_nothing_that_was_sent_becomes_markup(target: str, shared: RunningGateway) -> None:
    hostile = (
        *(f"{name}: {value}" for name, value in FRENCH.items()),
        f"X-Request-Id: {HOSTILE}",
        f"User-Agent: {HOSTILE}",
        f"Referer: {HOSTILE}",
    )

    head, body = get(shared, target, *hostile)

    text = body.decode()
    assert b"text/html" in head
    assert "<script" not in text
    assert len(re.findall(r"<[a-z]+", text)) == len(re.findall(r"<[a-z]+", get(shared, "/nothing", *hostile)[1].decode()))
    assert re.search(r"<code>[0-9a-f-]{36}</code>", text)


def test_a_method_that_is_markup_is_no_method(shared: RunningGateway) -> None:
    for method in ("<B>", "BREW"):
        request = f"{method} /api/v1/mine HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        head, body = raw(shared, request.encode())
        assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))
        assert b"<B>" not in body


def test_a_head_request_has_the_headers_of_the_page_and_no_body(client: httpx.Client) -> None:
    answer = client.head("/nothing", headers=FRENCH)

    assert (answer.status_code, answer.content) == (404, b"")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_haproxys_own_errors_are_pages_too(own: RunningGateway) -> None:
    for upstream in own.upstreams:
        upstream.kill()

    def away() -> list[httpx.Response]:
        answers = [httpx.get(f"{own.url}/api/v1/echo", headers=accept) for accept in (FRENCH, ENGLISH, {"Accept": "*/*"})]
        return answers if {answer.status_code for answer in answers} == {503} else []

    french, english, program = eventually(away)

    assert BY_STATUS["fr"][503].title in french.text
    assert BY_STATUS["en"][503].title in english.text
    assert program.json()["status"] == 503
    assert french.headers["retry-after"] == program.headers["retry-after"] == "2"
    line = json.loads(own.log.splitlines()[-1])
    assert (line["decision"], line["status"]) == ("service_away", 503)


def test_maintenance_is_a_page_that_says_so(own: RunningGateway) -> None:
    own.gateway.hear_auth(Decision(enabled=True, revision=1))

    page = httpx.get(f"{own.url}/api/v1/echo", headers=FRENCH)

    assert page.status_code == 503
    assert BY_DECISION["fr"]["maintenance"].title in page.text
    assert int(page.headers["retry-after"]) > 0
    assert httpx.get(f"{own.url}/api/v1/echo").json()["status"] == 503
    assert httpx.get(f"{own.url}/assets/site.css").status_code == 200


def test_an_answer_of_a_service_is_left_as_it_is(client: httpx.Client) -> None:
    answer = client.get("/api/v1/echo", headers=FRENCH)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "content-language" not in answer.headers


def test_error_pages_have_their_style_without_the_python_side(client: httpx.Client) -> None:
    page = client.get("/nothing", headers=FRENCH)

    for asset, media_type in (("site.css", "text/css; charset=utf-8"), ("icon.svg", "image/svg+xml")):
        found = re.search(rf'href="(/assets/{asset}\?v=[0-9a-f]+)"', page.text)
        assert found
        answer = client.get(found[1])
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert "max-age" in answer.headers["cache-control"]
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"
    assert "<style" not in page.text
    assert " style=" not in page.text


def test_every_status_is_told_in_both_languages() -> None:
    for language in LANGUAGES:
        assert set(BY_STATUS[language]) == set(KINDS)
        assert set(BY_DECISION[language]) == set(BY_DECISION["en"])
    assert words("a_new_decision", 404, "fr") == BY_STATUS["fr"][404]


def test_two_refusals_of_one_name_are_refused() -> None:
    answers = Answers()

    assert answers.body("one", 404, "There is nothing.") == answers.body("one", 404, "There is nothing.")
    with pytest.raises(ValueError, match="named one"):
        answers.body("one", 404, "Something else.")


def test_every_body_that_is_sent_stands_in_the_map(shared: RunningGateway) -> None:
    files = compile_configuration(read([ROOT / "gateway" / "policy.json"]), shared.door, (), {}, clock.now().date())
    used: set[str] = set(re.findall(r"str\(([~a-z_]+)\.\),concat\(,txn\.form\)", files["haproxy.cfg"].decode()))
    lines = [line.split(" ", 1) for line in files["maps/answers.map"].decode().splitlines()]
    keys = [key for key, _ in lines]

    assert sorted(keys) == sorted(set(keys))
    assert set(keys) == {f"{decision}.{form}" for decision in used for form in ("", *LANGUAGES)}
    assert {decision for decision, _ in ERRORS.values()} <= used
