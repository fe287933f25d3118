"""Behind the gateway, TLS: services and the broker are believed by our authority and their own name, and are shown ours."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography.x509 import load_der_x509_certificate

from gateway.door import AmqpsDoor, InnerSide
from gateway.settings import GatewaySettings
from gateway.tests.running import RunningGateway, eventually
from libs.common import tls
from libs.common.config import ConfigurationError, load
from ops.authority import Authority, Leaf
from ops.vault import Vault

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LEAVES = (
    Leaf("echo", ("echo",), calls=True),
    Leaf("stranger", ("stranger",), calls=True),
    Leaf("gateway", ("gateway",), serves=False, calls=True),
)
ENVIRONMENT = {
    "AMQP_URL": "amqps://gateway:p@rabbitmq/",
    "REVOCATION_LIST_TOKEN": "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa",
    "GATEWAY_SECRET": "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGb",
    "GATEWAY_FOLDER": "/run/lumiere",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    Authority(Vault(folder)).ensure(LEAVES)
    return folder


@contextmanager
def service(certificates: Path, leaf: str) -> Iterator[tuple[int, list[str]]]:
    """Answers every request of who shows a certificate of ours; its port, and whom it has seen."""
    context = tls.serving(certificates / leaf, certificates / "TLS_AUTHORITY")
    seen: list[str] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(connection: socket.socket) -> None:
            with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as secured:
                shown = load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
                seen.append(shown.subject.rfc4514_string())
                while secured.recv(65_536):
                    secured.sendall(ANSWER)

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    connection.settimeout(20)
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], seen
        finally:
            ended.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@contextmanager
def gateway(root: Path, certificates: Path, port: int) -> Iterator[RunningGateway]:
    """A gateway that speaks mutual TLS to a service on this port."""
    running = RunningGateway(root)
    mutual = InnerSide(str(certificates / "TLS_AUTHORITY"), str(certificates / "TLS_GATEWAY"))
    running.door = replace(running.door, mutual=mutual)
    running.gateway = running.another_gateway()
    running.targets.write_text(f'{{"echo": {{"web": ["127.0.0.1:{port}"]}}}}', encoding="utf-8")
    running.publish_key()
    try:
        running.start()
        yield running
    finally:
        running.close()


def status(running: RunningGateway) -> int:
    return httpx.get(f"{running.url}/api/v1/echo").status_code


def test_a_service_is_believed_by_its_name_and_shown_our_certificate(tmp_path: Path, certificates: Path) -> None:
    with service(certificates, "TLS_ECHO") as (port, seen), gateway(tmp_path, certificates, port) as running:
        eventually(lambda: status(running) == 200)
    assert set(seen) == {"CN=gateway"}


def test_a_service_under_another_name_is_sent_nothing(tmp_path: Path, certificates: Path) -> None:
    with service(certificates, "TLS_STRANGER") as (port, seen), gateway(tmp_path, certificates, port) as running:
        eventually(lambda: status(running) == 503)
        eventually(lambda: "DOWN" in running.gateway.haproxy.replicas()["echo-web"].popitem()[1])
        assert status(running) == 503
    assert seen == []


def test_the_brokers_door_leads_on_within_tls_where_the_broker_speaks_it() -> None:
    files = {"TLS_AUTHORITY": "/ca.pem", "GATEWAY_AMQPS_PORT": "5671", "GATEWAY_AMQPS_CERTIFICATE": "/c.pem"}
    door = load(GatewaySettings, ENVIRONMENT | files).door()
    assert door.mutual is None
    assert door.amqps == AmqpsDoor(5671, "/c.pem", (("rabbitmq", 5671),), InnerSide("/ca.pem", None))
    assert door.watched == ["/c.pem", "/ca.pem"]
    own = load(GatewaySettings, {**ENVIRONMENT, **files, "TLS_CERTIFICATE": "/own.pem"}).door()
    assert own.mutual == InnerSide("/ca.pem", "/own.pem")
    assert own.watched == ["/c.pem", "/own.pem", "/ca.pem"]


def test_a_broker_within_tls_needs_an_authority() -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_AMQPS_PORT needs TLS_AUTHORITY"):
        load(GatewaySettings, ENVIRONMENT | {"GATEWAY_AMQPS_PORT": "5671", "GATEWAY_AMQPS_CERTIFICATE": "/c.pem"})


def test_production_refuses_a_broker_elsewhere_without_tls() -> None:
    public = {"LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://studio.example.org", "AMQP_URL": "amqp://g:p@rabbitmq/"}
    with pytest.raises(ConfigurationError, match="AMQP_URL leaves this machine without verified TLS"):
        load(GatewaySettings, ENVIRONMENT | public)


def test_tls_of_the_inside_is_not_older_than_1_2(certificates: Path) -> None:
    own = certificates / "TLS_ECHO"
    for context in (tls.calling(certificates / "TLS_AUTHORITY", own), tls.serving(own, certificates / "TLS_AUTHORITY")):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
