"""RabbitMQ's management API, as an operator: queues with their depths and rates, users and their rights."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from libs.common import tls
from libs.common.tls import without_parameters
from ops.errors import OperationError

TIMEOUT_SECONDS: Final = 20.0


class Management:
    """One connection to the management API of a broker. Every failure is an OperationError that says what to do."""

    def __init__(self, url: str, vhost: str = "/") -> None:
        address, given = without_parameters(url, "cacertfile")
        trust = tls.calling(given.get("cacertfile")) if address.startswith("https:") else True
        self._client = httpx.Client(base_url=address, timeout=TIMEOUT_SECONDS, trust_env=False, verify=trust)
        self._vhost = quote(vhost, safe="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def queues(self) -> list[dict[str, Any]]:
        """Every queue of the virtual host as the broker describes it."""
        found: list[dict[str, Any]] = self._ask("GET", f"/api/queues/{self._vhost}").json()
        return found

    def users(self) -> list[dict[str, Any]]:
        """Every user: `name`, `tags`."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/users").json()
        return found

    def permissions(self) -> list[dict[str, str]]:
        """Every user's rights on the virtual host: `user`, and the expressions `configure`, `write`, `read`."""
        found: list[dict[str, str]] = self._ask("GET", f"/api/vhosts/{self._vhost}/permissions").json()
        return found

    def topic_permissions(self) -> list[dict[str, str]]:
        """Every user's rights on routing keys: `user`, `exchange`, and the expressions `write`, `read`."""
        found: list[dict[str, str]] = self._ask("GET", f"/api/vhosts/{self._vhost}/topic-permissions").json()
        return found

    def overview(self) -> dict[str, Any]:
        """The cluster: `rabbitmq_version`, `erlang_version`, totals."""
        found: dict[str, Any] = self._ask("GET", "/api/overview").json()
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """Every node: memory, disk, alarms."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/nodes").json()
        return found

    def put_user(self, name: str, password_hash: str, *, tags: str = "") -> None:
        """Create a user, or give it another password. The hash is `topology.password_hash`; tags are with commas."""
        body = {"password_hash": password_hash, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags}
        self._ask("PUT", f"/api/users/{quote(name, safe='')}", body)

    def permit(self, name: str, *, configure: str, write: str, read: str) -> None:
        """Set a user's rights on the virtual host: regular expressions on names."""
        body = {"configure": configure, "write": write, "read": read}
        self._ask("PUT", f"/api/permissions/{self._vhost}/{quote(name, safe='')}", body)

    def limit_user(self, name: str, limit: str, value: int) -> None:
        """Bound `max-connections` or `max-channels` of a user."""
        self._ask("PUT", f"/api/user-limits/{quote(name, safe='')}/{limit}", {"value": value})

    def delete_user(self, name: str) -> None:
        """Remove a user; its connections end."""
        self._ask("DELETE", f"/api/users/{quote(name, safe='')}")

    def permit_topics(self, name: str, exchange: str, *, write: str, read: str) -> None:
        """Set a user's rights on the routing keys of an exchange: regular expressions."""
        body = {"exchange": exchange, "write": write, "read": read}
        self._ask("PUT", f"/api/topic-permissions/{self._vhost}/{quote(name, safe='')}", body)

    def put_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Create a durable queue, or see that it is there with these arguments."""
        body = {"durable": True, "auto_delete": False, "arguments": dict(arguments)}
        self._ask("PUT", f"/api/queues/{self._vhost}/{quote(name, safe='')}", body)

    def purge_queue(self, name: str) -> None:
        """Remove what lies ready in a queue; the queue stays."""
        self._ask("DELETE", f"/api/queues/{self._vhost}/{quote(name, safe='')}/contents")

    def delete_queue(self, name: str) -> None:
        """Remove a queue with what lies in it."""
        self._ask("DELETE", f"/api/queues/{self._vhost}/{quote(name, safe='')}")

    def bindings(self, exchange: str, queue: str) -> dict[str, str]:
        """Routing key → the broker's own key of that binding, of one queue at one exchange."""
        found = self._ask("GET", self._bindings(exchange, queue)).json()
        return {each["routing_key"]: each["properties_key"] for each in found}

    def bind(self, exchange: str, queue: str, routing_key: str) -> None:
        """Let a queue have what is published under a routing key."""
        self._ask("POST", self._bindings(exchange, queue), {"routing_key": routing_key, "arguments": {}})

    def unbind(self, exchange: str, queue: str, properties_key: str) -> None:
        """Undo a binding that `bindings` named."""
        self._ask("DELETE", f"{self._bindings(exchange, queue)}/{quote(properties_key, safe='')}")

    def connections(self, user: str) -> list[str]:
        """The names of a user's open connections."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/connections").json()
        return [each["name"] for each in found if each.get("user") == user and "name" in each]

    def close_connection(self, name: str) -> None:
        """End a connection; one that has ended by itself is no fault."""
        self._ask("DELETE", f"/api/connections/{quote(name, safe='')}", missing_is_fine=True)

    def _bindings(self, exchange: str, queue: str) -> str:
        return f"/api/bindings/{self._vhost}/e/{quote(exchange, safe='')}/q/{quote(queue, safe='')}"

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, missing_is_fine: bool = False
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise OperationError(
                f"RabbitMQ's management API does not answer ({type(error).__name__}). Does the platform run? `make status`."
            ) from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise OperationError("RabbitMQ's management API refuses us. Check AMQP_MANAGEMENT_URL.")
        if missing_is_fine and answer.status_code == httpx.codes.NOT_FOUND:
            return answer
        if answer.is_error:
            raise OperationError(f"RabbitMQ's management API answered {answer.status_code} to {method} {path}.")
        return answer
