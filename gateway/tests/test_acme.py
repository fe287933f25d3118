"""A public certificate from a real ACME server: Let's Encrypt's own test server asks our gateway, certbot does the rest.

What deploy/acme does in a container is done here without one: its script, certbot and pebble as Debian has them, and a gateway
that shows the challenge and takes each new certificate while people ask.
"""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
from cryptography.x509 import load_pem_x509_certificate

from gateway.manifest import ROOT
from gateway.on_demand import OnDemand
from gateway.tests.running import eventually, free_port
from gateway.tests.site import STATED, variables
from gateway.tests.test_tls import Secure
from libs.common.config import process_environment
from tests.certificates import certificate

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

SCRIPT: Final = ROOT / "deploy" / "acme" / "acme.sh"
HOST: Final = "studio.example.test"
PROGRAMS: Final = ("pebble", "pebble-challtestsrv", "certbot", "openssl")
MISSING: Final = "needs Debian's packages pebble, certbot and openssl: `make test-all` installs them"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    if any(shutil.which(name) is None for name in PROGRAMS):
        pytest.skip(MISSING)


@contextmanager
def running(*command: str, **environment: str) -> Iterator[None]:
    """A server beside the test."""
    log = subprocess.DEVNULL
    process = subprocess.Popen(command, env=process_environment() | environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


class Authority:
    """Pebble, which resolves every name to this machine and asks on the gateway's plain port."""

    def __init__(self, folder: Path, asks_on: int) -> None:
        folder.mkdir()
        self.own = certificate(folder)
        self.port, self.management, self.names = free_port(), free_port(), free_port()
        self.configuration = folder / "pebble.json"
        addresses = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}"}
        files = {"certificate": str(self.own.server), "privateKey": str(self.own.server)}
        self.configuration.write_text(
            json.dumps({"pebble": {**addresses, **files, "httpPort": asks_on, "tlsPort": free_port(), "ocspResponderURL": ""}})
        )

    @property
    def directory(self) -> str:
        """Where clients begin."""
        return f"https://localhost:{self.port}/dir"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve, with a name server of its own."""
        names = ("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{self.names}")
        shut = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}")
        pebble = ("pebble", "-config", str(self.configuration), "-dnsserver", f"127.0.0.1:{self.names}")
        with running(*names, *shut), running(*pebble, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"):
            eventually(self._answers)
            yield

    def _answers(self) -> bool:
        try:
            return self._get(self.directory).is_success
        except httpx.TransportError:
            return False

    def _get(self, address: str) -> httpx.Response:
        return httpx.get(address, verify=ssl.create_default_context(cafile=str(self.own.trusted)))

    def root(self) -> str:
        """The certificate that it signs by, PEM."""
        return self._get(f"https://localhost:{self.management}/roots/0").text


class Client:
    """deploy/acme/acme.sh, with folders of the test's own in place of volumes."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.site = folder / "tls" / "site.pem"
        self.site.parent.mkdir()
        (folder / "scratch").mkdir()
        self._environment = process_environment() | {
            "LUMIERE_ORIGIN": f"https://{HOST}",
            "ACME_DIRECTORY": authority.directory,
            "TLS_DIR": str(self.site.parent),
            "ACME_DIR": str(folder / "kept"),
            "TMPDIR": str(folder / "scratch"),
            "REQUESTS_CA_BUNDLE": str(authority.own.trusted),
        }

    def run(self, *words: str) -> str:
        """Run it; what it said."""
        done = subprocess.run(
            [shutil.which("bash") or "bash", SCRIPT, *words], env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def issuer(self) -> str:
        """Who signed what is in place."""
        return load_pem_x509_certificate(self.site.read_bytes()).issuer.rfc4514_string()

    @property
    def serial(self) -> int:
        """The number of what is in place."""
        return load_pem_x509_certificate(self.site.read_bytes()).serial_number


class Door(Secure):
    """A gateway that shows the certificate of an ACME client."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"https://localhost:{self.running.port}"

    def trusting(self) -> ssl.SSLContext:
        """Either certificate will do while both are about; who is believed is asked apart."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def shown_to_who_believes(self, root: str) -> bool:
        """Whether a browser that knows the authority takes what the gateway shows for this host."""
        context = ssl.create_default_context(cadata=root)
        try:
            with socket.create_connection(("127.0.0.1", self.running.port), timeout=10) as plain:
                context.wrap_socket(plain, server_hostname=HOST).close()
        except ssl.SSLCertVerificationError:
            return False
        return True


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Door, Client, Authority]]:
    """A gateway behind a stand-in, with its pages, and an authority that will ask it."""
    (tmp_path / "gateway").mkdir()
    door = Door(tmp_path / "gateway")
    authority = Authority(tmp_path / "authority", door.http_port)
    client = Client(tmp_path, authority)
    client.run("stand-in")
    door.certificate.server.unlink()
    door.certificate.server.symlink_to(client.site)
    door.running.gateway.compile()
    stated = variables(door.running.folder.root, **STATED) | {
        "LUMIERE_ORIGIN": f"https://{HOST}",
        "GATEWAY_CERTIFICATE": str(client.site),
        "GATEWAY_HTTP_PORT": str(door.http_port),
        "GATEWAY_ACME_CHALLENGES": str(client.site.parent / "acme"),
    }
    pages = OnDemand(door.running.folder, environ={**process_environment(), **stated})
    stopped = threading.Event()
    thread = threading.Thread(target=pages.run, args=(stopped,))
    with ExitStack() as stack:
        stack.callback(door.running.close)
        stack.callback(thread.join)
        stack.callback(stopped.set)
        thread.start()
        door.start()
        stack.enter_context(authority.open())
        yield door, client, authority


def test_a_certificate_is_got_and_renewed_from_a_real_acme_server_without_a_lost_request(
    opened: tuple[Door, Client, Authority],
) -> None:
    door, client, authority = opened
    assert HOST in client.issuer  # signed by itself
    results: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.01):
            try:
                results[str(door.get("/api/v1/echo").status_code)] += 1
            except httpx.TransportError as error:
                results[repr(error)] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert HOST in client.run("once")
        assert "Pebble" in client.issuer
        door.running.gateway.compile()
        eventually(lambda: door.shown_to_who_believes(authority.root()))
        first = client.serial
        client.run("once")
        assert client.serial == first, "a certificate that holds for long is left alone"
        client.run("once", "--force-renewal")
        assert client.serial != first
        assert door.running.gateway.compile()
        before = results.total()
        eventually(lambda: results.total() > before + 20)
    finally:
        done.set()
        asking.join()
    assert set(results) == {"200"}, results
    assert door.shown_to_who_believes(authority.root())


def test_a_stand_in_never_takes_the_place_of_a_certificate(tmp_path: Path) -> None:
    client = Client(tmp_path, Authority(tmp_path / "authority", free_port()))
    assert HOST in client.run("stand-in")
    serial = client.serial
    assert client.run("stand-in") == ""
    assert client.serial == serial


def test_a_word_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    client = Client(tmp_path, Authority(tmp_path / "authority", free_port()))
    with pytest.raises(AssertionError, match="stand-in, once or keep, not forget"):
        client.run("forget")
