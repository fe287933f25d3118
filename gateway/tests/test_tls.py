"""TLS at the door: what is spoken, what is not, renewal under load, and plain HTTP that only leads here."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from werkzeug.test import TestResponse

from gateway import limits, tls
from gateway.challenges import ANSWER_MAX, challenge
from gateway.containment import Containment
from gateway.folder import Folder
from gateway.pages import Pages
from gateway.problems import SECURITY_HEADERS
from gateway.settings import GatewaySettings
from gateway.tests.running import ORIGIN, RunningGateway, eventually, free_port
from libs.common.auth.policy import Rate
from libs.common.config import ConfigurationError, load
from libs.common.errors import NotFound
from libs.common.ids import random_token
from tests.certificates import Certificate, certificate

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"  # of RFC 8555 section 8.3


class Secure:
    """A gateway that speaks TLS, and plain HTTP beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.certificate: Certificate = certificate(root)
        self.http_port = free_port()
        self.running = RunningGateway(root)
        self.running.door = replace(
            self.running.door, certificate=str(self.certificate.server), http_port=self.http_port, acme=True
        )
        self.running.gateway = self.running.another_gateway()
        self.running.scale(1)
        self.running.publish_key()

    def start(self) -> None:
        """Start HAProxy and wait until it answers within TLS."""
        self.running.start(self.url, self.trusting())

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://localhost:{self.running.port}"

    def trusting(self) -> ssl.SSLContext:
        """What a careful client uses."""
        return ssl.create_default_context(cafile=str(self.certificate.trusted))

    def get(self, path: str, **options: object) -> httpx.Response:
        """One request within TLS."""
        return httpx.get(f"{self.url}{path}", verify=self.trusting(), **options)  # type: ignore[arg-type]

    def plain(self, path: str, method: str = "GET") -> httpx.Response:
        """One request without."""
        return httpx.request(method, f"http://127.0.0.1:{self.http_port}{path}")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    opened = Secure(tmp_path_factory.mktemp("secure"))
    try:
        opened.start()
        yield opened
    finally:
        opened.running.close()


def handshake(secure: Secure, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect within TLS, by this context."""
    plain = socket.create_connection(("127.0.0.1", secure.running.port), timeout=10)
    return context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_with_forward_secrecy(version: ssl.TLSVersion, secure: Secure) -> None:
    context = secure.trusting()
    context.minimum_version = context.maximum_version = version
    with handshake(secure, context) as wire:
        spoken = wire.cipher()

    assert spoken
    assert spoken[0] in {*tls.CIPHERS, *tls.SUITES}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_not(version: ssl.TLSVersion, secure: Secure) -> None:
    context = secure.trusting()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, version

    with pytest.raises(OSError, match=r"ALERT|EOF|reset"):
        handshake(secure, context)


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
def test_weak_ciphers_are_not(cipher: str, secure: Secure) -> None:
    context = secure.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")

    with pytest.raises(OSError, match=r"ALERT|EOF|reset"):
        handshake(secure, context)


def test_no_session_ticket_leaves_the_gateway(secure: Secure) -> None:
    context = secure.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with handshake(secure, context) as wire:
        session = wire.session

    assert session is None or not session.has_ticket


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_both_versions_of_http_are_agreed_on(protocol: str, secure: Secure) -> None:
    context = secure.trusting()
    context.set_alpn_protocols([protocol])
    with handshake(secure, context) as wire:
        assert wire.selected_alpn_protocol() == protocol


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl to speak HTTP/2")
@pytest.mark.parametrize(("flag", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_both_versions_of_http_are_answered_with_every_header(flag: str, version: str, secure: Secure) -> None:
    command = ["curl", "-s", "-i", "-w", "%{http_version}", flag, "--cacert", str(secure.certificate.trusted)]
    done = subprocess.run([*command, f"{secure.url}/api/v1/echo"], capture_output=True, text=True, check=True)

    assert done.stdout.endswith(version)
    for name, value in {**SECURITY_HEADERS, "Strict-Transport-Security": "max-age=31536000; includeSubDomains"}.items():
        assert f"{name.lower()}: {value}" in done.stdout


def _more_than(results: Counter[str], count: int) -> None:
    eventually(lambda: results.total() > count, 30)


def test_a_certificate_renewed_under_load_loses_no_request(secure: Secure) -> None:
    results: Counter[str] = Counter()
    done = threading.Event()
    anything = ssl.create_default_context()
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE  # either certificate will do while both are about
    first = secure.certificate.trusted.read_text(encoding="utf-8")

    def ask(keep: bool) -> None:
        while not done.is_set():
            try:
                with httpx.Client(base_url=secure.url, verify=anything, timeout=10) as client:
                    for _ in range(20 if keep else 1):
                        results[str(client.get("/api/v1/echo").status_code)] += 1
            except httpx.TransportError as error:
                results[repr(error)] += 1

    threads = [threading.Thread(target=ask, args=(keep,)) for keep in (True, False)]
    for thread in threads:
        thread.start()
    try:
        _more_than(results, 20)
        for _ in range(2):
            secure.certificate = certificate(secure.root)
            assert secure.running.gateway.compile()
            _more_than(results, results.total() + 20)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    assert set(results) == {"200"}, results
    assert first != secure.certificate.trusted.read_text(encoding="utf-8")
    assert secure.get("/api/v1/echo").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/echo?a=b&c=%20d", "//attacker.example/", "/\\attacker.example", "/x%0d%0aSet-Cookie:%20a=b"]
)
def test_plain_http_leads_to_the_platforms_own_name_and_nowhere_else(path: str, secure: Secure) -> None:
    with socket.create_connection(("127.0.0.1", secure.http_port), timeout=10) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wire.recv(65_536), b"")).decode()

    assert answer.startswith("HTTP/1.1 308 ")
    assert f"location: {ORIGIN}{path}\r\n" in answer.lower().replace(path.lower(), path)
    assert "attacker.example/api" not in answer
    for name in SECURITY_HEADERS:
        assert f"\r\n{name.lower()}: " in answer.lower()
    assert "strict-transport-security" not in answer.lower()


def test_plain_http_keeps_the_method_and_carries_nothing_through(secure: Secure) -> None:
    assert secure.plain("/api/v1/login", "POST").status_code == 308
    assert secure.plain("/health/live").status_code == 308


def test_what_is_no_path_is_refused_on_plain_http(secure: Secure) -> None:
    with socket.create_connection(("127.0.0.1", secure.http_port), timeout=10) as wire:
        wire.sendall(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert wire.recv(65_536).startswith(b"HTTP/1.1 400 ")


def test_who_asks_plain_http_too_often_reads_a_document_whatever_the_path_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = replace(limits.LIMITS[Rate.PUBLIC], address=1)
    monkeypatch.setattr(limits, "LIMITS", {**limits.LIMITS, Rate.PUBLIC: public})
    busy = Secure(tmp_path)
    try:
        busy.start()
        with socket.create_connection(("127.0.0.1", busy.http_port), timeout=10) as wire:
            for _ in range(limits.DEVELOPMENT_ADDRESS_FACTOR + 1):
                wire.sendall(b'GET /"},{<b> HTTP/1.1\r\nHost: x\r\n\r\n')
                answer = wire.recv(65_536)
    finally:
        busy.running.close()

    assert answer.startswith(b"HTTP/1.1 429 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["instance"] == ""


def test_a_certificate_authority_finds_what_the_client_wrote_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_text(f"{TOKEN}.thumbprint", encoding="utf-8")
    (tmp_path / "long").write_bytes(b"x" * ANSWER_MAX)
    (tmp_path / "longer").write_bytes(b"x" * (ANSWER_MAX + 1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").symlink_to("/etc/hostname")
    below = tmp_path / ".well-known" / "acme-challenge"
    below.mkdir(parents=True)
    (below / "certbot").write_text("as certbot writes it", encoding="utf-8")

    assert challenge(tmp_path, TOKEN) == f"{TOKEN}.thumbprint".encode()
    assert challenge(tmp_path, "certbot") == b"as certbot writes it"
    assert len(challenge(tmp_path, "long")) == ANSWER_MAX
    for name in ("longer", "folder", "elsewhere", "absent", "..", "../x", "", "a/b", ".well-known", "x" * 129):
        with pytest.raises(NotFound):
            challenge(tmp_path, name)


def test_challenges_are_asked_for_on_plain_http_by_reading_alone(secure: Secure) -> None:
    path = f"/.well-known/acme-challenge/{TOKEN}"

    assert secure.plain(path).status_code == 503  # the pages are served by the control process, which does not run here
    assert secure.plain(path, "POST").status_code == 405
    assert secure.plain(f"{path}/more").status_code == 308
    assert secure.get(path).status_code == 404


def test_the_pages_show_challenges_and_only_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / TOKEN).write_text("yes", encoding="utf-8")

    def asked(changes: dict[str, str]) -> TestResponse:
        settings = load(GatewaySettings, ENVIRONMENT | {"GATEWAY_FOLDER": str(tmp_path / "gateway")} | changes)
        pages = Pages(Containment(Folder(settings.gateway_folder)), settings)
        return pages.app.test_client().get(f"/.well-known/acme-challenge/{TOKEN}")

    found = asked({"GATEWAY_HTTP_PORT": "80", "GATEWAY_ACME_CHALLENGES": str(tmp_path)})
    assert (found.data, found.headers["cache-control"]) == (b"yes", "no-store")
    assert asked({}).status_code == 404


ENVIRONMENT = {
    "AMQP_URL": "amqp://gateway@rabbitmq/",
    "REVOCATION_LIST_TOKEN": random_token(),
    "GATEWAY_SECRET": random_token(),
    "GATEWAY_FOLDER": "/run/lumiere",
    "GATEWAY_CERTIFICATE": "/tls.pem",
    "LUMIERE_ORIGIN": "https://lumiere.test",
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"GATEWAY_HTTP_PORT": "80", "GATEWAY_CERTIFICATE": ""}, "GATEWAY_HTTP_PORT needs GATEWAY_CERTIFICATE"),
        ({"GATEWAY_HTTP_PORT": "80", "LUMIERE_ORIGIN": "http://lumiere.test"}, "begins with https://"),
        ({"GATEWAY_HTTP_PORT": "8080"}, "must differ from LUMIERE_PORT"),
        ({"GATEWAY_HTTP_PORT": "80", "GATEWAY_METRICS_PORT": "80"}, "GATEWAY_METRICS_PORT must be a port of its own"),
        ({"GATEWAY_ACME_CHALLENGES": "/challenges"}, "GATEWAY_ACME_CHALLENGES needs GATEWAY_HTTP_PORT"),
        ({"GATEWAY_CORS_ORIGINS": "*"}, "GATEWAY_CORS_ORIGINS"),
    ],
)
def test_settings_that_cannot_work_say_why(changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load(GatewaySettings, ENVIRONMENT | changes)


def test_settings_reach_the_door() -> None:
    settings = ENVIRONMENT | {
        "GATEWAY_HTTP_PORT": "80",
        "GATEWAY_ACME_CHALLENGES": "/c",
        "GATEWAY_CORS_ORIGINS": "https://a.org",
    }
    door = load(GatewaySettings, settings).door()

    assert (door.http_port, door.acme, door.origins) == (80, True, ("https://a.org",))
