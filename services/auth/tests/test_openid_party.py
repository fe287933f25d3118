"""A certified OpenID provider of others, `oidc-provider` (npm), signs people in to us."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from libs.common.config import process_environment
from libs.common.ids import random_token
from libs.common.testing import Harness
from services.auth.adapters.openid import HttpOpenIdProviders
from services.auth.domain.federation import OpenIdProviders, Provider
from services.auth.tests.conftest import Person
from services.auth.tests.federating import accounts, identities

PARTY = Path(__file__).parent / "parties" / "oidc_provider"
PLACE = Path(__file__).parents[3] / ".local" / "parties" / "oidc-provider"
REDIRECT_URI = "http://127.0.0.1:8080/oauth/callback/party"
STEPS_MAXIMUM = 12

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def installed() -> Path:
    """The provider's packages in a folder of their own, once for each lock."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NOT SHOWN: install nodejs and npm, then a certified provider signs people in here")
    PLACE.mkdir(parents=True, exist_ok=True)
    lock = "package-lock.json"
    if not (PLACE / lock).exists() or (PLACE / lock).read_bytes() != (PARTY / lock).read_bytes():
        shutil.copy(PARTY / "package.json", PLACE)
        shutil.copy(PARTY / lock, PLACE)
        command = [npm, "ci", "--prefix", str(PLACE), "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False)
        if done.returncode:
            (PLACE / lock).unlink()
            pytest.skip(f"NOT SHOWN: oidc-provider could not be installed: {done.stderr.strip()[-300:]}")
    shutil.copy(PARTY / "provider.js", PLACE)
    return PLACE


@pytest.fixture(scope="module")
def configured(installed: Path) -> Iterator[Provider]:
    """The provider, running, as it is configured with us."""
    secret = random_token()
    environ = {**process_environment(), "CLIENT_ID": "lumiere", "CLIENT_SECRET": secret, "REDIRECT_URI": REDIRECT_URI}
    with subprocess.Popen(
        [str(shutil.which("node")), "provider.js"],
        cwd=installed,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            issuer = process.stdout.readline().strip()
            assert issuer, "the provider ended before it listened"
            yield Provider("party", "A certified provider", issuer, "lumiere", secret, REDIRECT_URI)
        finally:
            process.terminate()


@pytest.fixture
def party(harness: Harness, configured: Provider) -> Iterator[Provider]:
    """The provider, and auth that knows it."""
    providers = harness.resource(OpenIdProviders)  # type: ignore[type-abstract]
    assert isinstance(providers, HttpOpenIdProviders)
    fresh = HttpOpenIdProviders([configured], plain_http=True)
    providers._providers, providers._known = fresh._providers, fresh._known
    yield configured
    providers._providers, providers._known = {}, {}


def authorize(address: str, login: str) -> dict[str, str]:
    """Sign in and agree on the provider's own pages as a browser does; returns what it sends back to us with the browser."""
    with httpx.Client(timeout=10, trust_env=False) as browser:
        answer = browser.get(address)
        for _ in range(STEPS_MAXIMUM):
            if answer.is_redirect:
                address = urljoin(str(answer.url), answer.headers["Location"])
                if address.startswith(REDIRECT_URI):
                    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
                answer = browser.get(address)
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="([a-z]+)"', answer.text)
            assert action is not None, answer.text
            assert prompt is not None, answer.text
            filled = {"prompt": prompt[1], **({"login": login, "password": "any"} if prompt[1] == "login" else {})}
            answer = browser.post(urljoin(str(answer.url), unescape(action[1])), data=filled)
    raise AssertionError("the provider asks and asks")


def begin(person: Person, token: str | None = None) -> dict[str, Any]:
    answer = person.post("/auth/identities/party/begin" if token else "/auth/federation/party/begin", token=token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    document: dict[str, Any] = answer.get_json()
    return document


def complete(person: Person, began: dict[str, Any], brought: dict[str, str]) -> Any:
    return person.post("/auth/federation/party/complete", {"binding": began["binding"], **brought})


@pytest.mark.usefixtures("party")
class TestACertifiedProvider:
    def test_it_signs_somebody_new_in_and_again(self, harness: Harness) -> None:
        grace = Person(harness, "grace@example.org")
        ids = set()
        for _ in range(2):
            began = begin(grace)
            answer = complete(grace, began, authorize(began["authorization_url"], "grace"))
            assert answer.status_code == 200, answer.get_data(as_text=True)
            token = answer.get_json()["access_token"]
            profile = grace.call("GET", "/profile", token=token).get_json()
            assert (profile["email"], profile["display_name"]) == ("grace@example.org", "Grace Hopper")
            ids.add(profile["id"])
        assert len(ids) == accounts(harness) == 1
        assert [each["provider"] for each in identities(grace, token)] == ["party"]

    def test_an_unverified_or_colliding_address_opens_nothing_and_its_owner_may_link(
        self, harness: Harness, person: Person
    ) -> None:
        began = begin(person)
        assert complete(person, began, authorize(began["authorization_url"], "mallory")).status_code == 403
        began = begin(person)
        offered = complete(person, began, authorize(began["authorization_url"], "ada"))
        assert offered.status_code == 409
        link = {"link_token": offered.get_json()["link_token"]}
        assert person.post("/auth/identities", link, person.signed_in()["access_token"]).status_code == 201
        began = begin(person)
        assert complete(person, began, authorize(began["authorization_url"], "ada")).status_code == 200
        assert accounts(harness) == 1

    def test_a_replayed_code_a_foreign_state_and_another_issuer_are_refused(self, harness: Harness) -> None:
        grace = Person(harness, "grace@example.org")
        began = begin(grace)
        brought = authorize(began["authorization_url"], "grace")
        assert complete(grace, began, {**brought, "state": random_token()}).status_code == 401
        assert complete(grace, began, {**brought, "iss": "https://elsewhere.example.org"}).status_code == 401
        other = begin(grace)
        assert (
            complete(grace, other, {**authorize(other["authorization_url"], "grace"), "code": brought["code"]}).status_code
            == 401
        )
        assert accounts(harness) == 0
