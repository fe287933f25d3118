"""What a private broker knows from the start: its virtual host, a user for each service, and what each user may touch."""

from collections.abc import Sequence
from typing import Any

from ops.environment import GATEWAY
from ops.rabbitmq import OPERATOR, RabbitMQ, password_hash

VIRTUAL_HOST = "/"


def topology(broker: RabbitMQ, services: Sequence[str]) -> dict[str, Any]:
    """The definitions document that the broker loads when it starts."""
    names = [*services, GATEWAY, OPERATOR]
    return {
        "vhosts": [{"name": VIRTUAL_HOST}],
        "users": [
            {
                "name": name,
                "password_hash": password_hash(broker.password(name)),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator" if name == OPERATOR else "",
            }
            for name in names
        ],
        "permissions": [
            {"user": name, "vhost": VIRTUAL_HOST, "configure": ".*", "write": ".*", "read": ".*"} for name in names
        ],
    }
