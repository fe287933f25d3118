"""Pages: forms read strictly and from our own pages alone, cookies that nothing can change, refusals as pages."""

import re
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from libs.common.auth.browser import CALLBACK_MAX, COOKIE_PREFIX, origin_of, safe_path
from libs.common.errors import BadRequest
from libs.common.http import Cookie, Cookies
from libs.common.http.forms import FIELDS_MAX, read_form
from libs.common.http.manifest import manifest
from libs.common.http.openapi import openapi
from libs.common.pages import FORM_POLICY, PAGE_POLICY
from libs.common.tests.conftest import ISSUER, REMEMBERED, Sample, SignUp, routes

OWN = {"Origin": ISSUER}
HTML = {"Accept": "text/html,application/xhtml+xml"}
GOOD = {"name": "Ada", "secret": "s3cret!"}


def send(sample: Sample, body: Any, headers: dict[str, str] | None = None, path: str = "/sign-up") -> TestResponse:
    """Send a form as a browser does from our own page, unless other headers are given."""
    text = body if isinstance(body, str | bytes) else urlencode(body)
    kind = "application/x-www-form-urlencoded"
    return sample.client().post(path, data=text, content_type=kind, headers=OWN if headers is None else headers)


def test_a_form_becomes_typed_values_and_the_browser_is_led_on_by_303(sample: Sample) -> None:
    answer = send(sample, [*GOOD.items(), ("age", "36"), ("tags", "a"), ("tags", "b"), ("agreed", "true")])

    assert (answer.status_code, answer.headers["Location"]) == (303, "/welcome/36/2")


def test_an_empty_box_that_may_be_left_out_was_left_out(sample: Sample) -> None:
    assert send(sample, {**GOOD, "age": ""}).headers["Location"] == "/welcome/None/0"
    assert send(sample, {**GOOD, "name": ""}).status_code == 422


def test_every_fault_of_a_form_is_told_at_once_and_the_page_decides_what_is_shown_again(sample: Sample) -> None:
    filled = [("name", "A"), ("secret", "ab"), ("age", "x"), ("hidden", "1"), ("agreed", "true"), ("agreed", "true")]
    answer = send(sample, filled)

    assert answer.status_code == 422
    assert answer.content_type == "text/html; charset=utf-8"
    assert [pointer for pointer in ("/name", "/secret", "/age", "/hidden", "/agreed") if pointer not in answer.text] == []
    assert "<p>A</p>" in answer.text


def test_a_field_given_twice_is_a_fault_even_when_both_say_the_same(sample: Sample) -> None:
    answer = send(sample, [*GOOD.items(), ("name", "Ada")])

    assert answer.status_code == 422
    assert "/name: was given more than once;" in answer.text
    assert answer.text.count("/name") == 1


@pytest.mark.parametrize("body", ["name", "&", "name=%zz", "name=%C3", "name=é", "a=1&&b=2", "name=%"])
def test_what_no_browser_sends_is_no_form(sample: Sample, body: str) -> None:
    assert send(sample, body.encode()).status_code == 400


@pytest.mark.parametrize(("fields", "refused"), [(FIELDS_MAX - 1, False), (FIELDS_MAX, False), (FIELDS_MAX + 1, True)])
def test_a_form_has_so_many_fields_and_no_more(fields: int, refused: bool) -> None:
    body = "&".join(["tags=a"] * fields).encode()
    if refused:
        with pytest.raises(BadRequest):
            read_form(SignUp, body, lambda _: [])
    else:
        assert read_form(SignUp, body, lambda _: []).given == {}


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=12), max_size=6))
def test_whatever_a_browser_encodes_is_read_back_as_it_was_typed(typed: dict[str, str]) -> None:
    typed = {f"x{name}": value for name, value in typed.items()}

    assert read_form(SignUp, urlencode(typed).encode(), lambda _: []).given == typed


def test_a_form_is_taken_as_a_form_alone(sample: Sample) -> None:
    client = sample.client()

    assert client.post("/sign-up", json=GOOD, headers=OWN).status_code == 415
    assert client.post("/sign-up", data={"name": "Ada"}, content_type="multipart/form-data", headers=OWN).status_code == 415
    assert send(sample, "name=" + "x" * 70_000).status_code == 413


@pytest.mark.parametrize(
    ("signs", "status"),
    [
        (OWN, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({**OWN, "Sec-Fetch-Site": "same-origin"}, 303),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": f"{ISSUER}.attacker.example"}, 403),
        ({**OWN, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://attacker.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Referer": f"{ISSUER}/sign-up"}, 403),
    ],
)
def test_a_form_of_a_page_comes_from_our_own_pages_also_where_nobody_is_signed_in(
    sample: Sample, signs: dict[str, str], status: int
) -> None:
    assert send(sample, GOOD, signs).status_code == status


def test_a_form_that_programs_send_needs_no_origin(sample: Sample) -> None:
    answer = send(sample, GOOD, {}, "/token")

    assert answer.json["body"] == "Ada"
    assert send(sample, {"name": "A"}, {}, "/token").json["version"] == 2


def test_an_answer_sets_several_cookies_and_none_is_read_by_scripts_or_over_plain_http(sample: Sample) -> None:
    cookies = send(sample, GOOD).headers.getlist("Set-Cookie")

    guard = "Path=/; Secure; HttpOnly; SameSite=Lax"
    assert cookies == [f"{REMEMBERED}=Ada; Max-Age=60; {guard}", f"{COOKIE_PREFIX}old=; Max-Age=0; {guard}"]


@pytest.mark.parametrize(
    ("name", "value", "age"),
    [
        ("lumiere_session", "x", 1),
        (f"{COOKIE_PREFIX}a b", "x", 1),
        (COOKIE_PREFIX, "x", 1),
        *((f"{COOKIE_PREFIX}name", value, 1) for value in ("a;b", "a,b", "a b", '"a"', "a\r\nX: y", "é", "x" * 3_501)),
        (f"{COOKIE_PREFIX}name", "x", -1),
    ],
)
def test_a_cookie_that_two_programs_could_read_in_two_ways_is_none(name: str, value: str, age: int) -> None:
    with pytest.raises(ValueError, match="a cookie is named"):
        Cookie(name, value, age)


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (["{}=Ada"], "Ada"),
        (["a=b; {}=Ada; c=d"], "Ada"),
        (["{}=Ada; {}=Eve"], None),
        (["{}=Ada", "{}=Ada"], None),
        (["{}="], None),
        (["{}"], None),
        (["x{}=Eve"], None),
        (["a=b,{}=Eve"], None),
        (['{}="Ada"'], None),
        (["{}=A%64a"], None),
        ([], None),
    ],
)
def test_a_cookie_is_read_when_there_is_exactly_one_of_its_name(headers: list[str], value: str | None) -> None:
    assert Cookies([each.replace("{}", REMEMBERED) for each in headers]).get(REMEMBERED) == value


def test_a_page_has_a_strict_policy_and_is_kept_by_nobody(sample: Sample) -> None:
    client = sample.application.test_client(use_cookies=False)

    answer = client.get("/sign-up", headers={"Cookie": f"{REMEMBERED}=Ada"})

    assert answer.text == "<p>Ada</p>"
    assert answer.headers["Content-Security-Policy"] == FORM_POLICY
    assert answer.headers["Referrer-Policy"] == "strict-origin"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Language"] == "en"
    assert "unsafe" not in FORM_POLICY


def test_a_refusal_of_a_page_is_a_page_for_a_person_and_a_document_for_a_program(sample: Sample) -> None:
    page = sample.client().get("/broken", headers={**HTML, "Accept-Language": "fr"})
    document = sample.client().get("/broken")

    assert (page.status_code, document.status_code) == (401, 401)
    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == PAGE_POLICY
    assert page.headers["WWW-Authenticate"] == document.headers["WWW-Authenticate"]
    assert "Connexion nécessaire" in page.text
    assert page.headers["X-Request-Id"] in page.text
    assert document.content_type == "application/problem+json"
    assert sample.client().get("/api/v1/notes", headers=HTML).content_type == "application/problem+json"
    assert send(sample, GOOD, HTML).content_type == "text/html; charset=utf-8"


def test_pages_are_no_interface_of_programs_and_the_manifest_says_who_reads_cookies() -> None:
    paths = openapi("sample", "1", routes.routes)["paths"]
    reads = {(each["method"], each["path"]) for each in manifest("sample", routes.routes, ["web"])["routes"] if each["cookies"]}

    assert "/sign-up" not in paths
    assert list(paths["/token"]["post"]["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]
    assert reads == {("GET", "/sign-up")}


BASE = f"{ISSUER}/login"
HOSTS = ("evil.example", "127.0.0.1:8080@evil.example", "[::1]", "evil.example:80")


def led_to(path: str) -> str:
    """Where a browser goes: it drops tabs and line ends, trims, and takes `\\` for `/` (URL standard section 4.4)."""
    seen = re.sub(r"[\t\r\n]", "", path).strip("".join(map(chr, range(33)))).replace("\\", "/")
    return origin_of(urljoin(BASE, seen))


@settings(deadline=None, max_examples=300)
@given(
    st.text("/\\.:@%?#\t\r\n\0 abAB05\u00a0\uff0f\u2028", max_size=12),
    st.sampled_from(["", *HOSTS]),
    st.text("/\\.:@%?#\t\r\n ab25FfCc", max_size=12),
)
def test_wherever_somebody_is_sent_it_is_this_origin(before: str, host: str, after: str) -> None:
    text = before + host + after
    kept = safe_path(text)

    assert kept in {None, text}
    if kept is not None:
        assert kept.isascii()
        assert kept[0] == "/"
        assert led_to(kept) == ISSUER


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "login", "?a", "#", "https://evil.example", "javascript:alert(1)", "data:text/html,x", "mailto:a@b.example"),
        *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example"),
        *("/\r\nSet-Cookie: a=b", "/a\0b", "/a b", "/é", "/a//b", "/%", "/%2", "/%zz", "\u2028/a", " /a", "/a ", "/a#b"),
        *("http:/evil.example", "/a?b=\\c", '/a?b="c', "/a?b=<c>", "/" + "x" * CALLBACK_MAX),
    ],
)
def test_what_is_no_path_of_ours_is_none(text: str) -> None:
    assert safe_path(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *("/", "/dashboard", "/dashboard/", "/tasks/a-b_c.d~e?page=2&q=%C3%A9", "/%2F%2Fevil.example", "/%5Cevil.example"),
        *("/oauth/authorize?redirect_uri=https://app.example/cb?x=1&scope=a+b", "/a?", "/" + "x" * (CALLBACK_MAX - 1)),
    ],
)
def test_a_path_of_ours_is_kept_letter_by_letter(text: str) -> None:
    assert safe_path(text) == text
    assert led_to(text) == ISSUER
