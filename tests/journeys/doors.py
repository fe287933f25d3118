"""The doors of a running platform, what stands behind them by declaration, and tokens signed as auth signs them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import httpx
from sqlalchemy import ColumnElement, select

from gateway.manifest import GATEWAY, Manifest, Route, manifest_paths, read
from libs.common.auth.policy import Access, Role, Scope
from libs.common.db import runtime_role
from libs.common.db.database import single_connection_engine
from libs.common.ids import new_id
from ops.environment import AUDIENCE
from ops.layout import Replica
from ops.plan import Plan
from ops.testing import LivePlatform
from services.auth.domain.secrets import MasterSecret, unseal_root
from services.auth.domain.tokens import unseal_signing_key
from services.auth.models import root_key, signing_key
from tests.tokens import Forge

EXAMPLES = {"int": "1", "string": "absent", "path": "absent/absent"}
"""What stands in a path for a parameter of each kind; a UUID is made anew each time."""


@dataclass(frozen=True)
class Declared:
    """One route of one service."""

    service: str
    route: Route

    @property
    def name(self) -> str:
        """Short, for test reports."""
        return f"{self.service} {self.route.name}"

    @property
    def public(self) -> bool:
        """Whether nobody needs to be signed in."""
        return self.route.allow is Access.PUBLIC

    def permitted(self) -> list[Role]:
        """The roles that may call it."""
        allow = self.route.allow
        return [role for role in Role if isinstance(allow, Access) or role in allow]

    def refused(self) -> list[Role]:
        """The roles that may not."""
        return [role for role in Role if role not in self.permitted()]

    def address(self) -> str:
        """A path of this route that names nothing existing."""
        values = {name: EXAMPLES.get(kind) or str(new_id()) for name, kind in self.route.parameters.items()}
        return self.route.path.format(**values)


def manifests() -> tuple[Manifest, ...]:
    """What every service and the gateway itself declare."""
    return read(manifest_paths())


def declared() -> list[Declared]:
    """Every route, by service."""
    return [Declared(manifest.service, route) for manifest in manifests() for route in manifest.routes]


class Doors:
    """A running platform as its callers see it from outside and, within, straight at each service."""

    def __init__(self, platform: LivePlatform) -> None:
        self._platform = platform
        self.origin = platform.origin
        self._client = httpx.Client(timeout=30)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def straight(self, service: str, process: str = "web") -> str:
        """The base address of one process of a service, past the gateway."""
        return f"http://127.0.0.1:{self._platform.layout.replica_port(Replica(service, process, 1))}"

    def of(self, door: str, each: Declared) -> str:
        """The base address for this route: `gateway`, or `service` for straight in."""
        return self._platform.origin if door == GATEWAY else self.straight(each.service, each.route.process)

    def status(self, base: str, each: Declared, headers: dict[str, str] | None = None, content: bytes | None = None) -> int:
        """Call a route; only the status is read, so that an event stream does not hold us."""
        from_page = {"Origin": self.origin} if each.route.page else {}
        sent = {**from_page, **(headers or {})}
        with self._client.stream(each.route.method, base + each.address(), headers=sent, content=content) as answer:
            return answer.status_code

    @cached_property
    def forge(self) -> Forge:
        """Signs with auth's own key, which only auth's secret opens."""
        self._client.get(f"{self._platform.origin}/.well-known/jwks.json").raise_for_status()
        return self._signing(signing_key.c.state == "ACTIVE")

    def signed_by(self, key_id: str) -> Forge:
        """Signs with one of auth's keys, also with one that auth does not sign with yet."""
        return self._signing(signing_key.c.id == key_id)

    def _signing(self, which: ColumnElement[bool]) -> Forge:
        plan = Plan(self._platform.layout, durable=False)
        sealing = MasterSecret(plan.backing.vault.path("AUTH_SECRET").read_text(encoding="utf-8").strip())
        engine = single_connection_engine(plan.backing.database_url(runtime_role("auth")))
        with engine.connect() as connection:
            row = connection.execute(select(signing_key).where(which)).one()
            root = connection.execute(select(root_key).where(root_key.c.secret_id == sealing.id)).one()
        engine.dispose()
        secret = MasterSecret(unseal_root(bytes(root.sealed), sealing))
        key = unseal_signing_key(row.id, bytes(row.private_sealed), secret)
        return Forge(key, row.id, self._platform.origin, AUDIENCE, tuple(self._key_files()))

    def _key_files(self) -> Iterator[str]:
        for path in (self._platform.layout.gateway_folder / "current").resolve().glob("keys/*.pem"):
            yield from (str(path), f"keys/{path.name}", path.name)

    def bearer(self, *roles: Role) -> dict[str, str]:
        """Headers of a person of these roles whom nobody knows, who signed in with a second factor a moment ago."""
        token = self.forge.token(roles=" ".join(roles), amr=["pwd", "otp", "mfa"])
        return {"Authorization": f"Bearer {token}"}

    def handed_on(self, role: Role, scope: str | None) -> dict[str, str]:
        """Headers of another client that acts for a person of this role, with this scope in its token or (None) with none."""
        return {"Authorization": f"Bearer {self.forge.token(role, client_id=str(new_id()), scope=scope)}"}

    def machine(self, *scopes: Scope) -> dict[str, str]:
        """Headers of a client that speaks for itself."""
        client = str(new_id())
        return {"Authorization": f"Bearer {self.forge.token(sub=client, client_id=client, scope=' '.join(scopes))}"}


def guarded_route_of_each_service() -> Iterator[Declared]:
    """One route a service that only a signed-in person may read."""
    seen: set[str] = set()
    for each in declared():
        readable = each.route.method == "GET" and not each.public and each.route.exposed and not each.route.stream
        if readable and each.service not in seen and each.service != GATEWAY:
            seen.add(each.service)
            yield each
