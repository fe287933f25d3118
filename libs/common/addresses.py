"""Addresses that name several servers: those of a broker's cluster, or a database's primary and its standby.

The broker's stand whole, with `;` between them (kombu's form). A database's hosts stand with `,` between them (libpq's form,
https://www.postgresql.org/docs/current/libpq-connect.html, "Specifying Multiple Hosts"), and which of them is the primary libpq
asks each time it connects. No message here quotes an address: it holds a password.
"""

import random
import re
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, SecretStr

BROKER_SEPARATOR: Final = ";"
BROKER_ADDRESSES_MAX: Final = 9
"""More nodes than a cluster has sensibly; a longer list is a mistake."""
PRIMARY_ONLY: Final = "target_session_attrs=read-write"
"""What keeps clients from a standby, where nothing can be written."""

_SEVERAL_HOSTS = re.compile(r"^(?P<scheme>[a-z0-9+]+://)(?P<who>[^/?#]*@)?(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?].*)?$")


def broker_addresses(url: str) -> tuple[str, ...]:
    """The address of each node, in the order given. Raises ValueError for a list that cannot be meant.

    All are of one scheme, virtual host and user: the broker vouches for a sender by its user, wherever it comes in.
    """
    found = tuple(each.strip() for each in url.split(BROKER_SEPARATOR))
    if len(found) > BROKER_ADDRESSES_MAX:
        raise ValueError(f"must name at most {BROKER_ADDRESSES_MAX} brokers")
    parts = [urlsplit(each) for each in found]
    if not all(each.scheme in {"amqp", "amqps"} and each.hostname for each in parts):
        raise ValueError("must be amqp:// or amqps:// addresses with `;` between them, each whole")
    if len({(each.scheme, each.username, each.password, each.path or "/") for each in parts}) > 1:
        raise ValueError("must name nodes of one cluster: the same scheme, user, password and virtual host in each address")
    if len({(each.hostname, each.port) for each in parts}) < len(parts):
        raise ValueError("must name each broker once")
    return found


def broker_addresses_spread(url: str) -> list[str]:
    """The same in a random order, so that clients spread over the nodes and go elsewhere when one is away."""
    found = list(broker_addresses(url))
    random.shuffle(found)
    return found


def one_address(url: str) -> str:
    """A database's address in the one form that SQLAlchemy reads: several hosts become `?host=a:1&host=b:2`."""
    found = _SEVERAL_HOSTS.match(url)
    if not found:
        return url
    path, _, query = (found["rest"] or "/").partition("?")
    hosts = [f"host={quote(each, safe='')}" for each in found["hosts"].split(",")]
    return f"{found['scheme']}{found['who'] or ''}{path}?{'&'.join([*hosts, *filter(None, [query])])}"


def require_primary(url: str) -> None:
    """Raise ValueError when several databases are named and nothing says that only the primary will do."""
    several = len(re.findall(r"[?&]host=", one_address(url))) > 1
    if several and PRIMARY_ONLY not in url:
        raise ValueError(f"names several servers: add {PRIMARY_ONLY}, or the standby is written to in vain")


def _broker(value: SecretStr) -> SecretStr:
    broker_addresses(value.get_secret_value())
    return value


def _database(value: SecretStr) -> SecretStr:
    require_primary(value.get_secret_value())
    return value


BrokerUrl = Annotated[SecretStr, AfterValidator(_broker)]
"""RabbitMQ: one address, or with `;` between them those of a cluster's nodes."""
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database)]
"""Postgres: one server, or with `,` between the hosts a primary and its standbys."""
