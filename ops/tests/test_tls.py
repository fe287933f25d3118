"""TLS inside the platform: addresses that must not leave the machine unverified, and who is believed."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from libs.common import probe, tls
from libs.common.config import ConfigurationError, ServiceSettings, load
from libs.common.events.broker import BrokerUnavailable, Session
from libs.common.events.broker.address import BrokerAddress
from libs.common.events.broker.publisher import PipelinedPublisher
from ops.authority import Authority, Leaf
from ops.vault import Vault

STRONG = "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa"
PRODUCTION = {
    "LUMIERE_ENV": "production",
    "LUMIERE_ORIGIN": "https://studio.example.org",
    "DATABASE_URL": "postgresql://u:p@postgres/x?sslmode=verify-full",
    "AMQP_URL": "amqps://u:p@rabbitmq/",
    "REVOCATION_LIST_TOKEN": STRONG,
    "NOTIFY_PUBLIC_KEY": "a-public-key",
    "TLS_AUTHORITY": "/run/secrets/TLS_AUTHORITY",
}
WAIT_SECONDS = 10


# -- what production refuses


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:p@postgres/x?sslmode=verify-full",
        "postgresql://u:p@one,two/x?sslmode=verify-full&target_session_attrs=read-write",
        "postgresql://u:p@127.0.0.1/x",
        "postgresql://u:p@[::1]/x",
        "postgresql://u:p@localhost/x",
        "postgresql://u:p@/x?host=/run/postgresql",
    ],
)
def test_production_takes_a_database_that_is_verified_or_on_this_machine(address: str) -> None:
    assert load(ServiceSettings, {**PRODUCTION, "DATABASE_URL": address}).production


@pytest.mark.parametrize("mode", ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"])
@pytest.mark.parametrize("name", ["DATABASE_URL", "MIGRATION_DATABASE_URL"])
def test_production_refuses_a_database_elsewhere_that_is_not_verified(name: str, mode: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{name} leaves this machine without verified TLS: add .sslmode=verify-full"
    ) as told:
        load(ServiceSettings, {**PRODUCTION, name: f"postgresql://u:verysecret@10.0.0.7/x{mode}"})
    assert "verysecret" not in str(told.value)


@pytest.mark.parametrize(
    "address",
    ["amqp://u:p@rabbitmq/", "amqps://u:p@rabbitmq/?verify=verify_none", "amqps://u:p@a/;amqps://u:p@b/?verify=verify_none"],
)
def test_production_refuses_a_broker_elsewhere_that_is_not_verified(address: str) -> None:
    with pytest.raises(ConfigurationError, match="AMQP_URL leaves this machine without verified TLS: begin it with amqps://"):
        load(ServiceSettings, {**PRODUCTION, "AMQP_URL": address})


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://u:p@localhost/x?hostaddr=10.0.0.7"),
        ("DATABASE_URL", "postgresql://u:p@/x?host=/run/postgresql,db.example.org&target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://u:p@/x?service=elsewhere"),
        ("DATABASE_URL", "postgresql://u:p@db/x?sslmode=disable&sslmode=verify-full"),
        ("AMQP_URL", "amqp://u:p@rabbitmq/?host=localhost"),
        ("AMQP_URL", "amqps://u:p@rabbitmq/?verify=verify_none&verify=verify_peer"),
    ],
)
def test_no_way_of_writing_an_address_hides_that_it_leaves_this_machine(name: str, address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} leaves this machine without verified TLS"):
        load(ServiceSettings, {**PRODUCTION, name: address})


def test_production_takes_a_broker_on_this_machine() -> None:
    assert load(ServiceSettings, {**PRODUCTION, "AMQP_URL": "amqp://u:p@127.0.0.1/"}).production


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("rediss://:p@redis/0", True),
        ("redis://:p@localhost/0", True),
        ("redis://:p@redis/0", False),
        ("rediss://:p@redis/0?ssl_cert_reqs=none", False),
        ("rediss://:p@redis/0?ssl_cert_reqs=CERT_OPTIONAL", False),
        ("rediss://:p@redis/0?ssl_check_hostname=no", False),
        ("redis://:p@redis/0?host=localhost", False),
        ("rediss://:p@redis/0?ssl_cert_reqs=none&ssl_cert_reqs=required", False),
    ],
)
def test_redis_elsewhere_is_verified_too(address: str, fine: bool) -> None:
    assert (tls.redis_fault(address) is None) is fine


def test_development_may_be_plain() -> None:
    plain = {"LUMIERE_ENV": "development", "DATABASE_URL": "postgresql://u:p@db/x", "AMQP_URL": "amqp://u:p@mq/"}
    assert not load(ServiceSettings, {**PRODUCTION, **plain}).production


# -- addresses are told the files


def test_addresses_that_ask_for_tls_are_told_whom_to_believe_and_what_to_show() -> None:
    settings = load(ServiceSettings, {**PRODUCTION, "TLS_CERTIFICATE": "/own.pem", "AMQP_URL": "amqps://u:p@a/;amqps://u:p@b/"})
    assert settings.database_url.get_secret_value().endswith("?sslmode=verify-full&sslrootcert=/run/secrets/TLS_AUTHORITY")
    first, second = settings.amqp_url.get_secret_value().split(";")
    for each, name in ((first, "a"), (second, "b")):
        assert BrokerAddress.parse(each) == BrokerAddress(
            f"amqps://u:p@{name}/", name, True, True, "/run/secrets/TLS_AUTHORITY", "/own.pem", "/own.pem"
        )


def test_what_an_address_says_itself_stays() -> None:
    own = "postgresql://u:p@db/x?sslmode=verify-full&sslrootcert=/other.pem"
    assert load(ServiceSettings, {**PRODUCTION, "DATABASE_URL": own}).database_url.get_secret_value() == own
    assert tls.broker_with("amqp://u:p@mq/", Path("/ca"), None) == "amqp://u:p@mq/"
    assert tls.redis_with("redis://mq/", Path("/ca"), None) == "redis://mq/"


def test_a_certificate_without_an_authority_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATE needs TLS_AUTHORITY"):
        load(ServiceSettings, {**PRODUCTION, "TLS_AUTHORITY": "", "TLS_CERTIFICATE": "/own.pem"})


# -- who is believed


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of two authorities: ours below `own`, a stranger's below `other`."""
    root = tmp_path_factory.mktemp("certificates")
    leaves = [Leaf("rabbitmq", ("localhost",)), Leaf("stranger", ("elsewhere",)), Leaf("tasks", ("tasks",), calls=True)]
    for name in ("own", "other"):
        Authority(Vault(root / name)).ensure(leaves)
    return root


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[tuple[int, list[str]]]:
    """A TLS server that says nothing; the port, and how each handshake ended."""
    outcomes: list[str] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    connection.settimeout(WAIT_SECONDS)
                    try:
                        with context.wrap_socket(connection, server_side=True) as secured:
                            outcomes.append("greeted" if secured.recv(8)[:4] == b"AMQP" else "silent")
                    except OSError as error:
                        outcomes.append(type(error).__name__)
                        connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], outcomes
        finally:
            ended.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(WAIT_SECONDS)


def shown(files: Path, leaf: str, *, asking: bool = False) -> ssl.SSLContext:
    if asking:
        return tls.serving(files / "own" / leaf, files / "own" / "TLS_AUTHORITY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files / "own" / leaf)
    return context


def greet(way: str, url: str) -> None:
    """Connect as the consumers do (kombu) or as the relay does (pika); nobody answers, so both fail in the end."""
    with pytest.raises(BrokerUnavailable):
        if way == "kombu":
            Session(url)
        else:
            PipelinedPublisher(url, "tasks").open()


@pytest.mark.parametrize("way", ["kombu", "pika"])
@pytest.mark.parametrize(
    ("leaf", "authority", "believed"),
    [
        ("TLS_RABBITMQ", "own", True),
        ("TLS_RABBITMQ", "other", False),  # signed by somebody else
        ("TLS_STRANGER", "own", False),  # ours, under another name
    ],
)
def test_both_broker_clients_believe_our_authority_and_the_name_alone(
    files: Path, way: str, leaf: str, authority: str, believed: bool
) -> None:
    with listening(shown(files, leaf)) as (port, outcomes):
        greet(way, f"amqps://u:p@localhost:{port}/?cacertfile={files / authority / 'TLS_AUTHORITY'}")
    assert ("greeted" in outcomes) is believed


@pytest.mark.parametrize("way", ["kombu", "pika"])
@pytest.mark.parametrize("certified", [True, False])
def test_a_server_that_asks_is_shown_a_certificate(files: Path, way: str, certified: bool) -> None:
    own = files / "own" / "TLS_TASKS"
    with listening(shown(files, "TLS_RABBITMQ", asking=True)) as (port, outcomes):
        shows = f"&certfile={own}&keyfile={own}" if certified else ""
        greet(way, f"amqps://u:p@localhost:{port}/?cacertfile={files / 'own' / 'TLS_AUTHORITY'}{shows}")
    assert ("greeted" in outcomes) is certified


def test_a_servers_certificate_is_none_to_call_with(files: Path) -> None:
    own = files / "own" / "TLS_RABBITMQ"
    with listening(shown(files, "TLS_RABBITMQ", asking=True)) as (port, outcomes):
        greet(
            "kombu", f"amqps://u:p@localhost:{port}/?cacertfile={files / 'own' / 'TLS_AUTHORITY'}&certfile={own}&keyfile={own}"
        )
    assert "greeted" not in outcomes


def test_the_probe_says_no_where_nobody_answers(files: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert not probe.answers(port, str(files / "own" / "TLS_AUTHORITY"), str(files / "own" / "TLS_TASKS"))
