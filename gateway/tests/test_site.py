"""The gateway's own pages, as HAProxy hands them to anybody."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import validate

from gateway.limits import LIMITS
from gateway.manifest import ROOT
from gateway.openapi import DETAILS, merged
from gateway.problems import KINDS, SECURITY_HEADERS
from gateway.settings import DEVELOPMENT_SECURITY_CONTACT
from gateway.site import documents
from gateway.site.operator import Operator
from gateway.site.published import COMPRESSED_FROM, Published
from gateway.site.security_txt import VALID_DAYS, security_txt
from gateway.tests.running import ORIGIN, RunningGateway
from gateway.tests.site import STATED, settings, site
from libs.common.auth.policy import Role
from libs.common.config import ConfigurationError
from libs.common.pages import LANGUAGES, PAGE_POLICY

LEGAL = tuple(f"/legal/{page}" for page in documents.LEGAL)
PAGES = ("/", "/docs", *LEGAL)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway whose operator has said everything."""
    with site(tmp_path_factory.mktemp("site"), STATED) as started:
        yield started


@pytest.fixture(scope="module")
def client(running: RunningGateway) -> Iterator[httpx.Client]:
    """Anybody."""
    with httpx.Client(base_url=running.url) as opened:
        yield opened


class Tags(HTMLParser):
    """What a page refers to and how it is built."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.language = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [str(values[name]) for name in ("href", "src", "action") if name in values]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in values) else []
        if tag == "html":
            self.language = values.get("lang") or ""


@pytest.mark.parametrize("path", PAGES)
def test_a_page_comes_in_both_languages_and_says_which(path: str, client: httpx.Client) -> None:
    texts = set()
    for accepted, asked, language in (
        ("fr-CH,fr;q=0.9", None, "fr"),
        ("en", None, "en"),
        ("fr", "en", "en"),
        ("de", "fr", "fr"),
    ):
        answer = client.get(path, headers={"Accept-Language": accepted}, params={"lang": asked} if asked else None)

        assert (answer.status_code, answer.headers["content-language"]) == (200, language)
        assert "Accept-Language" in answer.headers["vary"]
        assert Tags(answer.text).language == language
        texts.add(answer.text)
    assert len(texts) == len(LANGUAGES)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_refers_to_this_origin_alone_and_runs_nothing_inline(path: str, client: httpx.Client) -> None:
    tags = Tags(client.get(path).text)

    assert tags.inline == []
    assert [address for address in tags.addresses if not address.startswith("/") or address.startswith("//")] == ["#main"]
    for address in {each.partition("?lang")[0] for each in tags.addresses} - {"#main", "/login", "/health/ready"}:
        assert client.get(address).status_code == 200, address


@pytest.mark.parametrize("path", LEGAL)
def test_a_legal_text_names_the_operator_and_its_own_version(path: str, client: httpx.Client) -> None:
    for language in LANGUAGES:
        text = client.get(path, params={"lang": language}).text

        assert f"Version {documents.LEGAL_VERSION}" in text
        assert documents.LEGAL_DATE[language] in text
        assert ("Studio &lt;Lumière&gt; &amp; Fils SAS" in text) is (path != "/legal/cookies")
        assert 'class="missing"' not in text
        other = "fr" if language == "en" else "en"
        assert f'href="{path}?lang={other}" lang="{other}"' in text


def test_the_privacy_page_says_what_the_log_makes_public_and_how_long_events_are_kept(client: httpx.Client) -> None:
    english, french = (client.get("/legal/privacy", params={"lang": language}).text for language in ("en", "fr"))

    assert "What the transparency log makes public, and for ever" in english
    assert "Ce que le journal de transparence rend public, pour toujours" in french
    for text, days in ((english, "120 days"), (french, "120 jours")):
        assert days in text
        assert all(article in text for article in ("13", "15", "21", "22", "28"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_operator_has_not_stated_is_called_so(language: str) -> None:
    text = documents.legal("terms", language, Operator()).content.decode()

    assert text.count('class="missing"') == 4


def test_a_public_installation_can_tell_what_it_has_not_stated(tmp_path: Path) -> None:
    production = settings(tmp_path, LUMIERE_ENV="production")

    assert production.operator().unstated == [
        "GATEWAY_LEGAL_ENTITY",
        "GATEWAY_LEGAL_ADDRESS",
        "GATEWAY_LEGAL_CONTACT",
        "GATEWAY_LEGAL_HOST",
        "GATEWAY_SECURITY_CONTACT",
    ]
    assert settings(tmp_path, LUMIERE_ENV="production", **STATED).operator().unstated == []
    assert settings(tmp_path).operator().security_contact == DEVELOPMENT_SECURITY_CONTACT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_LEGAL_ENTITY", "x"),
        ("GATEWAY_LEGAL_ENTITY", "x" * 301),
        ("GATEWAY_LEGAL_ADDRESS", "two\nlines"),
        ("GATEWAY_LEGAL_CONTACT", "nobody"),
        ("GATEWAY_SECURITY_CONTACT", "security@lumiere.test"),
        ("GATEWAY_SECURITY_CONTACT", "mailto:a@b.test\nExpires: never"),
        ("GATEWAY_SECURITY_CONTACT", "javascript:alert(1)"),
        ("GATEWAY_SECURITY_POLICY", "http://lumiere.test/policy"),
        ("EVENT_RETENTION_DAYS", "29"),
        ("EVENT_RETENTION_DAYS", "3651"),
    ],
)
def test_a_statement_that_cannot_be_shown_is_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=name):
        settings(tmp_path, **{name: value})


def test_security_txt_is_one(client: httpx.Client) -> None:
    answer = client.get("/.well-known/security.txt")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields == {
        "Contact": "mailto:security@lumiere.test",
        "Expires": fields["Expires"],
        "Preferred-Languages": "en, fr",
        "Canonical": f"{ORIGIN}/.well-known/security.txt",
        "Policy": "https://lumiere.test/policy",
    }
    left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert timedelta(days=VALID_DAYS - 2) < left < timedelta(days=365)


def test_security_txt_is_the_same_all_day_and_none_without_a_contact() -> None:
    named = Operator(security_contact=DEVELOPMENT_SECURITY_CONTACT)

    assert security_txt(named, "http://127.0.0.1:8080", date(2026, 7, 1)) == (
        "Contact: mailto:security@lumiere.film\nExpires: 2026-12-28T00:00:00Z\nPreferred-Languages: en, fr\n"
    )
    assert security_txt(Operator(), ORIGIN, date(2026, 7, 1)) is None
    assert DEVELOPMENT_SECURITY_CONTACT.removeprefix("mailto:") in (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_a_document_is_sent_once_to_who_keeps_it(client: httpx.Client) -> None:
    for path in ("/openapi.json", "/asyncapi.json", "/events", "/docs", "/", "/assets/swagger-ui.css"):
        packed = client.get(path)
        plain = client.get(path, headers={"Accept-Encoding": "identity"})

        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        assert packed.headers["etag"] != plain.headers["etag"]
        assert "Accept-Encoding" in packed.headers["vary"]
        again = client.get(path, headers={"If-None-Match": packed.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head(path).headers["etag"] == packed.headers["etag"]


@pytest.mark.parametrize("length", [COMPRESSED_FROM - 1, COMPRESSED_FROM, COMPRESSED_FROM + 1])
def test_only_what_is_long_is_kept_compressed(length: int) -> None:
    document = Published.of(b"x" * length, "text/plain", "no-store")

    assert document.compressed is (length >= COMPRESSED_FROM)
    assert document.content == b"x" * length
    assert not document.compressed or gzip.decompress(document.stored) == document.content


def test_assets_stand_at_addresses_that_name_their_content(client: httpx.Client) -> None:
    addresses = [each for each in Tags(client.get("/docs").text).addresses if each.startswith("/assets/")]

    assert len(addresses) == 2 + len(documents.ASSETS)
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        if "icon" not in address:
            assert "immutable" in client.get(address).headers["cache-control"]
    assert client.get("/assets/other.js").status_code == 404


def test_the_docs_may_run_scripts_of_this_origin_alone(client: httpx.Client) -> None:
    policy = client.get("/docs").headers["content-security-policy"]

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert client.get("/").headers["content-security-policy"] == PAGE_POLICY
    assert client.get("/openapi.json").headers["content-security-policy"] == SECURITY_HEADERS["Content-Security-Policy"]


def test_the_python_side_refuses_in_the_same_two_forms(running: RunningGateway, client: httpx.Client) -> None:
    signed_in = running.bearer(Role.ADMIN)
    page = client.get("/profile/nothing", headers={**signed_in, "Accept": "text/html", "Accept-Language": "fr"})
    document = client.get("/profile/nothing", headers=signed_in)

    assert (page.status_code, document.status_code) == (404, 404)
    assert "Page introuvable" in page.text
    assert "<code>/profile/nothing</code>" in page.text
    assert page.headers["x-request-id"] in page.text
    assert document.json()["title"] == "Not Found"


def test_the_details_are_refused_while_the_control_process_is_away(running: RunningGateway, client: httpx.Client) -> None:
    answer = client.get("/health", headers=running.bearer(Role.ADMIN))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["detail"] == "The gateway's control process does not answer; try again."
    assert client.get("/health", headers=running.bearer(Role.VIEWER)).status_code == 403
    assert client.get("/health").status_code == 401


def test_the_merged_document_is_valid_and_tells_every_answer_of_the_gateway(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()

    validate(document)
    assert document["servers"] == [{"url": ORIGIN}]
    assert set(DETAILS) == set(KINDS)
    assert set(document["x-rate-classes"]) == {str(rate) for rate in LIMITS}
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    assert len(operations) > 50
    for operation in operations:
        told = set(operation["responses"])
        assert {str(status) for status in DETAILS} - told <= ({"401"} if operation["security"] == [] else set())
        for response in operation["responses"].values():
            assert "$ref" in response or {"X-Request-Id", "RateLimit", "RateLimit-Policy"} <= set(response["headers"])


def test_the_merged_document_is_the_same_for_the_same_services() -> None:
    sources = sorted((ROOT / "services").glob("*/openapi.json"))

    first, second = (json.dumps(merged(ORIGIN, "production", sources)) for _ in range(2))

    assert first == second
