"""TLS between the platform's own processes and servers: what addresses say of it, and the contexts that it takes.

Everything about TLS stands in the address, in the words of those who published them: libpq's `sslmode`, `sslrootcert`
(PostgreSQL manual, section "Connection Strings"), RabbitMQ's `cacertfile`, `certfile`, `keyfile`, `verify` (its page "URI query
parameters"), redis-py's `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`.
"""

import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from libs.common.addresses import BROKER_SEPARATOR, one_address

File = Path | str

AMQP, AMQPS, REDIS, REDISS, POSTGRES = "amqp", "amqps", "redis", "rediss", "postgres"
VERIFIED_SSLMODES: Final = frozenset({"verify-full"})
"""What of libpq's modes checks that the server is the one that was asked for."""
BROKER_TLS: Final = ("cacertfile", "certfile", "keyfile", "verify", "server_name_indication")
UNVERIFIED: Final = "verify_none"
SERVERS_NAMED: Final = ("host", "hostaddr", "service")
"""Parameters by which libpq alone is led to another server than the one before the path."""
_NAMES: Final = frozenset({"", "localhost"})


def leaves_machine(url: str) -> bool:
    """Whether what is sent to any of the servers there passes a network: neither a Unix socket nor a loopback address."""
    parts = urlsplit(one_address(url))
    named = [unquote(parts.hostname or "")]
    if parts.scheme.startswith(POSTGRES):
        listed = [value for name, value in parse_qsl(parts.query) if name in SERVERS_NAMED]
        named += [each.rpartition(":")[0] or each for value in listed for each in value.split(",")]
    return any(_leaves(host) for host in named)


def _leaves(host: str) -> bool:
    host = host.strip("[]")
    if host in _NAMES or host.startswith("/"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def with_parameters(url: str, **given: str | Path | None) -> str:
    """The address with these parameters where it has none of that name; None adds nothing."""
    parts = urlsplit(url)
    known = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in known}
    known += [(name, str(value)) for name, value in given.items() if value is not None and name not in names]
    return _with_query(parts, known)


def without_parameters(url: str, *names: str) -> tuple[str, dict[str, str]]:
    """The address without these parameters, and what they were."""
    parts = urlsplit(url)
    known = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in known if name not in names]
    return _with_query(parts, kept), {name: value for name, value in known if name in names}


def _with_query(parts: SplitResult, query: list[tuple[str, str]]) -> str:
    return urlunsplit(parts._replace(query=urlencode(query, safe="/:")))


def database_with(url: str, authority: Path | None) -> str:
    """A Postgres address that verifies the server, told which authority to believe."""
    verifies = any(mode.startswith("verify-") for mode in _parameters(url, "sslmode"))
    return with_parameters(url, sslrootcert=authority) if verifies else url


def broker_with(url: str, authority: Path | None, certificate: Path | None) -> str:
    """A RabbitMQ address over TLS, told which authority to believe and which certificate (with its key) to show."""
    if urlsplit(url).scheme != AMQPS:
        return url
    files = {"cacertfile": authority, "certfile": certificate, "keyfile": certificate}
    return BROKER_SEPARATOR.join(with_parameters(each.strip(), **files) for each in url.split(BROKER_SEPARATOR))


def redis_with(url: str, authority: Path | None, certificate: Path | None) -> str:
    """A Redis address over TLS, told the same."""
    if urlsplit(url).scheme != REDISS:
        return url
    return with_parameters(url, ssl_ca_certs=authority, ssl_certfile=certificate, ssl_keyfile=certificate)


COMPLETED: Final[dict[str, Callable[[str, Path | None, Path | None], str]]] = {
    "database_url": lambda url, authority, _: database_with(url, authority),
    "migration_database_url": lambda url, authority, _: database_with(url, authority),
    "amqp_url": broker_with,
    "redis_url": redis_with,
}
"""Settings that are addresses, and what tells each whom to believe and what to show."""


def database_fault(url: str) -> str | None:
    """Why this Postgres address must not be used in production; None when it may."""
    if not leaves_machine(url) or _parameters(url, "sslmode", "") <= VERIFIED_SSLMODES:
        return None
    return "leaves this machine without verified TLS: add ?sslmode=verify-full, and set TLS_AUTHORITY to the authority's file"


def broker_fault(url: str) -> str | None:
    """Why this RabbitMQ address must not be used in production; None when it may."""
    if all(_broker_is_verified(each.strip()) for each in url.split(BROKER_SEPARATOR)):
        return None
    return "leaves this machine without verified TLS: begin it with amqps://, and set TLS_AUTHORITY to the authority's file"


def _broker_is_verified(url: str) -> bool:
    return not leaves_machine(url) or (urlsplit(url).scheme == AMQPS and UNVERIFIED not in _parameters(url, "verify"))


def redis_fault(url: str) -> str | None:
    """Why this Redis address must not be used in production; None when it may."""
    chain = {each.lower() for each in _parameters(url, "ssl_cert_reqs")} <= {"required"}
    name = {each.lower() for each in _parameters(url, "ssl_check_hostname")} <= {"true"}
    if not leaves_machine(url) or (urlsplit(url).scheme == REDISS and chain and name):
        return None
    return "leaves this machine without verified TLS: begin it with rediss://, and set TLS_AUTHORITY to the authority's file"


def bucket_fault(url: str) -> str | None:
    """Why this address of an S3 server must not be used in production; None when it may."""
    if not leaves_machine(url) or urlsplit(url).scheme == "https":
        return None
    return "leaves this machine without verified TLS: begin it with https://, at a name that the server's certificate has"


JUDGED: Final[dict[str, Callable[[str], str | None]]] = {
    "database_url": database_fault,
    "migration_database_url": database_fault,
    "amqp_url": broker_fault,
    "redis_url": redis_fault,
    "s3_endpoint": bucket_fault,
}
"""Settings that are addresses, and what says why one must not be used in production."""


def _parameters(url: str, name: str, unset: str | None = None) -> set[str]:
    """Every value that the address gives it: libraries differ in which of several they take. `unset` where it has none."""
    found = {value for each, value in parse_qsl(urlsplit(url).query) if each == name}
    return found or (set() if unset is None else {unset})


def calling(authority: File | None, certificate: File | None = None, key: File | None = None) -> ssl.SSLContext:
    """For a client: believes this authority alone (None: the system's), and shows the certificate when asked for one.

    `certificate` may hold the key too. Raises OSError when a file cannot be read or is none of that kind.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority and str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def serving(certificate: File, authority: File) -> ssl.SSLContext:
    """For a server that answers only whoever shows a certificate of this authority. Raises OSError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate)
    return context
