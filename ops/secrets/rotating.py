"""Replace a secret that we generated ourselves, while the platform runs."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nacl.public import PrivateKey

from libs.common.db.provision import owner_role, provision_roles, runtime_role
from libs.common.events.topology import GATEWAY, OPERATOR, password_hash
from ops.errors import OperationError
from ops.lifecycle import Platform
from ops.management import Management
from ops.plan import Plan
from ops.postgres import ADMIN
from ops.vault import Vault, random_secret

PREVIOUS: Final = "AUTH_SECRET_PREVIOUS"
DATABASE, BROKER = "DATABASE_PASSWORD_", "AMQP_PASSWORD_"
EVERYONE: Final = {
    "REVOCATION_LIST_TOKEN": "until every process has it, revocation lists are a few seconds late",
    "STORAGE_SECRET": "addresses of uploads and downloads that are out are good no more",
    "GATEWAY_SECRET": "counts of what an address asked begin anew",
}
"""Secrets that are simply replaced, and what people notice of it."""


@dataclass
class Rotated:
    """What was done."""

    name: str
    restarted: list[str] = field(default_factory=list)
    remark: str = ""


def rotate(platform: Platform, name: str, *, finish: bool = False) -> Rotated:
    """Give a secret of the local platform a new value, and let those who read it have it. Raises OperationError."""
    rotation = _Rotation(platform, platform.running_plan())
    if name == "AUTH_SECRET":
        return rotation.finish_auth() if finish else rotation.auth()
    if name.startswith(DATABASE):
        return rotation.database(name)
    if name.startswith(BROKER):
        return rotation.broker(name)
    acts: dict[str, Callable[[], Rotated]] = {
        "POSTGRES_PASSWORD": rotation.administrator,
        "NOTIFY_PRIVATE_KEY": rotation.notify,
        **{each: lambda each=each: rotation.everyone(each) for each in EVERYONE},  # type: ignore[misc]
    }
    if name not in acts:
        raise OperationError(_refusal(name))
    return acts[name]()


def _refusal(name: str) -> str:
    if name == "LOG_SIGNING_KEY":
        return "The log's key is never replaced: a new key is a new log. When it is stolen, see docs/proofs.md."
    if name.startswith(("DATABASE_URL", "MIGRATION_DATABASE_URL", "AMQP_URL")):
        return f"{name} is an address that is put together: rotate the password in it, {DATABASE}… or {BROKER}…."
    return f"{name} is not generated here: get a new one from who issued it, and set it in the environment (docs/secrets.md)."


class _Rotation:
    def __init__(self, platform: Platform, plan: Plan) -> None:
        self.platform = platform
        self.plan = plan
        self.vault: Vault = plan.backing.vault
        self.services = list(plan.layout.services)

    def database(self, name: str) -> Rotated:
        """Connections that stand go on; what connects anew needs the new password, so its processes start anew at once."""
        role = name.removeprefix(DATABASE).lower()
        owners: dict[str, list[str]] = {owner_role(each): [] for each in self.services}
        readers = {runtime_role(each): self._processes(each) for each in self.services}
        known: dict[str, list[str]] = {**owners, **readers}
        if role not in known and not self.vault.path(name).exists():
            raise OperationError(f"There is no role {role} with a password of ours.")
        password = random_secret()
        provision_roles(self.plan.backing.admin_url(), {role: password})
        self.vault.write(name, password)
        return self._restarted(name, known.get(role, []))

    def broker(self, name: str) -> Rotated:
        """Connections that stand go on; processes start anew one after the other."""
        user = name.removeprefix(BROKER).lower()
        if user not in {*self.services, GATEWAY, OPERATOR}:
            raise OperationError(f"The broker has no user {user} of ours.")
        if not self.plan.backing.private_broker:
            raise OperationError("AMQP_URL names a broker of yours: change its password there, then AMQP_URL.")
        password = random_secret()
        with Management(self.plan.backing.management_url()) as management:
            tags = next((_tags(each) for each in management.users() if each["name"] == user), "")
            management.put_user(user, password_hash(password), tags=tags)
        self.vault.write(name, password)
        self.plan.broker.configure(self.plan.backing.definitions())
        kinds = {GATEWAY: ["gateway-control", "gateway"], OPERATOR: []}
        return self._restarted(name, kinds.get(user, self._processes(user)))

    def auth(self) -> Rotated:
        """The old secret stays beside the new one until `--finish`: replicas open the root of all keys with either."""
        if self.vault.path(PREVIOUS).exists():
            raise OperationError(
                "AUTH_SECRET is being rotated already: `lumiere secrets rotate AUTH_SECRET --finish` ends that."
            )
        self.vault.write(PREVIOUS, self.vault.ensure("AUTH_SECRET"))
        self.vault.write("AUTH_SECRET", random_secret())
        remark = "the old one opens the root for an hour yet; then: lumiere secrets rotate AUTH_SECRET --finish"
        return self._up("AUTH_SECRET", remark)

    def finish_auth(self) -> Rotated:
        """Let the old secret go."""
        if not self.vault.path(PREVIOUS).exists():
            raise OperationError("AUTH_SECRET is not being rotated: nothing is to be finished.")
        self.vault.remove(PREVIOUS)
        return self._up("AUTH_SECRET", "an hour from now the old one opens nothing any more")

    def administrator(self) -> Rotated:
        """The superuser of the private Postgres; no process uses it."""
        if not self.plan.backing.private_database:
            raise OperationError("DATABASE_URL names a server of yours: change its administrator's password there.")
        self.plan.postgres.set_password(password := random_secret())
        self.vault.write("POSTGRES_PASSWORD", password)
        return Rotated("POSTGRES_PASSWORD", remark=f"the role {ADMIN}; no process uses it")

    def notify(self) -> Rotated:
        """The new key stands before the old ones, which open what was sealed before."""
        new = base64.b64encode(bytes(PrivateKey.generate())).decode("ascii")
        self.vault.write("NOTIFY_PRIVATE_KEY", f"{new} {self.vault.ensure('NOTIFY_PRIVATE_KEY')}")
        return self._up("NOTIFY_PRIVATE_KEY", "older keys stay behind it for what still waits; take them out after 90 days")

    def everyone(self, name: str) -> Rotated:
        """A value that all who read it must share."""
        self.vault.write(name, random_secret())
        kinds = {"STORAGE_SECRET": self._processes("media"), "GATEWAY_SECRET": ["gateway-control", "gateway"]}
        every = ["gateway-control", "gateway", *(kind for each in self.services for kind in self._processes(each))]
        done = self._restarted(name, kinds.get(name, every))
        done.remark = EVERYONE[name]
        return done

    def _processes(self, service: str) -> list[str]:
        return [f"{service}-{kind}" for kind in self.plan.layout.services[service]]

    def _restarted(self, name: str, kinds: list[str]) -> Rotated:
        # Composes the addresses anew, which stand in files that the processes read when they start.
        self.platform.running_plan().everything()
        return Rotated(name, self.platform.restart(kinds) if kinds else [])

    def _up(self, name: str, remark: str) -> Rotated:
        """Where the environment itself changes: what has another one starts anew."""
        self.platform.up()
        return Rotated(name, remark=remark)


def _tags(user: dict[str, object]) -> str:
    tags = user.get("tags", "")
    return ",".join(map(str, tags)) if isinstance(tags, list) else str(tags)
