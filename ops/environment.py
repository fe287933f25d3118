"""Which process is told what. A secret goes as the path of a file, and only to the process that needs it."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from nacl.public import PrivateKey
from pydantic import SecretStr

from libs.common.db.database import psycopg2_url
from libs.common.db.provision import monitor_role, owner_role, runtime_role
from libs.common.events.topology import GATEWAY, OPERATOR, definitions
from ops.errors import OperationError
from ops.layout import Layout, Replica
from ops.postgres import DATABASE, Postgres
from ops.rabbitmq import RabbitMQ
from ops.settings import Advising, HandedOn, Identity, Keeping, Mailing, PassedOn, Paying, passed_on, stated
from ops.supervisor import clean_environment
from ops.vault import Vault
from services.ledger.domain.notes import NoteSigner

AUDIENCE = "lumiere"
LOG_KEY_FILE = "log.vkey"


@dataclass(frozen=True)
class Backing:
    """The two servers that everything stands on, private ones or the operator's."""

    layout: Layout
    vault: Vault
    postgres: Postgres
    broker: RabbitMQ

    @property
    def private_database(self) -> bool:
        """Whether Postgres is ours to run."""
        return self.layout.settings.database_url is None

    @property
    def private_broker(self) -> bool:
        """Whether RabbitMQ is ours to run."""
        return self.layout.settings.amqp_url is None

    def admin_url(self) -> str:
        """The administrative address of the database that holds the services' schemas."""
        given = self.layout.settings.database_url
        if given is None:
            return self.postgres.admin_url(DATABASE)
        url = psycopg2_url(given.get_secret_value()).set(drivername="postgresql")
        # The maintenance database is for administration, not for schemas of ours.
        chosen = url.set(database=DATABASE) if url.database in (None, "", "postgres") else url
        return chosen.render_as_string(hide_password=False)

    @property
    def database_name(self) -> str:
        """The database that holds the services' schemas."""
        return str(psycopg2_url(self.admin_url()).database)

    def maintenance_url(self) -> str:
        """An administrative address of a database that exists on a new server."""
        given = self.layout.settings.database_url
        return self.postgres.admin_url("postgres") if given is None else given.get_secret_value()

    def database_password(self, role: str) -> str:
        """The password of a migration or runtime role."""
        return self.vault.ensure(f"DATABASE_PASSWORD_{role.upper()}")

    def database_url(self, role: str) -> str:
        """The services' database as `role`."""
        url = psycopg2_url(self.admin_url()).set(drivername="postgresql", username=role, password=self.database_password(role))
        return url.render_as_string(hide_password=False)

    def monitoring_url(self) -> str:
        """The services' database as the role that watches."""
        return self.database_url(monitor_role())

    def definitions(self) -> dict[str, Any]:
        """What the private broker loads when it starts: shared exchanges, and a user with few rights for each service."""
        services = list(self.layout.services)
        return definitions(services, {name: self.broker.password(name) for name in (*services, GATEWAY, OPERATOR)})

    def amqp_url(self, user: str) -> str:
        """The broker as `user`; an outside broker is used exactly as it was given."""
        given = self.layout.settings.amqp_url
        return self.broker.url(user) if given is None else given.get_secret_value()

    def management_url(self) -> str:
        """The broker's management API as the operator. Raises OperationError when an outside broker's is not given."""
        given = self.layout.settings.amqp_management_url
        if given is not None:
            return given.get_secret_value()
        if not self.private_broker:
            raise OperationError("AMQP_URL names a broker of yours: set AMQP_MANAGEMENT_URL to its management API too.")
        password = quote(self.broker.password(OPERATOR), safe="")
        return f"http://{OPERATOR}:{password}@127.0.0.1:{self.layout.management_port}"


class Environments:
    """Composes the environment of every process."""

    def __init__(self, backing: Backing, revision: str) -> None:
        self.backing = backing
        self.layout = backing.layout
        self.vault = backing.vault
        self.revision = revision

    def replica(self, replica: Replica) -> dict[str, str]:
        """The environment of one service process."""
        doors = self._doors(replica.service) if replica.kind == "web" else {}
        return self.service(replica.service) | doors | {"PORT": str(self.layout.replica_port(replica))}

    def service(self, service: str) -> dict[str, str]:
        """What every process of a service has in common; the runtime role only."""
        database = self.vault.write(f"DATABASE_URL_{service.upper()}", self.backing.database_url(runtime_role(service)))
        return self._common(service) | {"DATABASE_URL_FILE": str(database)} | self._own(service)

    def migration(self, service: str) -> dict[str, str]:
        """The environment of `migrate`: the service's own, and the role that may change the schema."""
        url = self.vault.write(f"MIGRATION_DATABASE_URL_{service.upper()}", self.backing.database_url(owner_role(service)))
        return self.service(service) | {"MIGRATION_DATABASE_URL_FILE": str(url)}

    def gateway(self) -> dict[str, str]:
        """The environment of both gateway processes."""
        return self._common(GATEWAY) | {
            "LUMIERE_PORT": str(self.layout.settings.lumiere_port),
            "GATEWAY_SECRET_FILE": self._secret("GATEWAY_SECRET"),
            "GATEWAY_TARGETS": str(self.layout.targets),
            "GATEWAY_FOLDER": str(self.layout.gateway_folder),
            "GATEWAY_METRICS_PORT": str(self.layout.metrics_port),
            **self._given("CRON_SECRET", self.layout.settings.cron_secret),
            "GATEWAY_CORS_ORIGINS": self.layout.settings.gateway_cors_origins or "",
            **stated(self.layout.settings),
            **self._amqps(),
        }

    def _amqps(self) -> dict[str, str]:
        """The door for subscribers outside, when it is open."""
        port, certificate = self.layout.settings.lumiere_amqps_port, self.layout.settings.lumiere_amqps_certificate
        if port is None or certificate is None:
            return {}
        return {"GATEWAY_AMQPS_PORT": str(port), "GATEWAY_AMQPS_CERTIFICATE": str(certificate.expanduser().resolve())}

    def _doors(self, service: str) -> dict[str, str]:
        """What opens a web process's doors for machines, and for people whom others vouch for."""
        settings = self.layout.settings
        cron = self._given("CRON_SECRET", settings.cron_secret) if self.layout.jobs(service) else {}
        stripe = self._given("STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret) if service == "payments" else {}
        providers = self._given("OIDC_PROVIDERS", settings.oidc_providers) if service == "auth" else {}
        return cron | stripe | providers

    def _given(self, name: str, value: SecretStr | None) -> dict[str, str]:
        return {} if value is None else {f"{name}_FILE": str(self.vault.write(name, value.get_secret_value()))}

    def _common(self, user: str) -> dict[str, str]:
        auth = Replica("auth", "web", 1)
        amqp = self.vault.write(f"AMQP_URL_{user.upper()}", self.backing.amqp_url(user))
        return (
            clean_environment()
            | self._handed(PassedOn)
            | {
                "PYTHONUNBUFFERED": "1",
                "LUMIERE_ENV": self.layout.settings.lumiere_env,
                "LUMIERE_ORIGIN": self.layout.origin,
                "LUMIERE_REVISION": self.revision,
                "AUDIENCE": AUDIENCE,
                "HOST": "127.0.0.1",
                "AMQP_URL_FILE": str(amqp),
                "AUTH_URL": f"http://127.0.0.1:{self.layout.replica_port(auth)}",
                "REVOCATION_LIST_TOKEN_FILE": self._secret("REVOCATION_LIST_TOKEN"),
                "NOTIFY_PUBLIC_KEY": notify_public_key(self.vault),
            }
        )

    def _handed(self, kind: type[HandedOn]) -> dict[str, str]:
        given = passed_on(self.layout.settings, kind)
        return {f"{name}_FILE": str(self.vault.write(name, value)) for name, value in given.items()}

    def _own(self, service: str) -> dict[str, str]:
        additions: dict[str, Callable[[], dict[str, str]]] = {
            "auth": lambda: {
                "AUTH_SECRET_FILE": self._secret("AUTH_SECRET"),
                **self._while_rotated("AUTH_SECRET_PREVIOUS"),
                **self._handed(Identity),
            },
            "notify": lambda: {
                "NOTIFY_PRIVATE_KEY_FILE": str(self.vault.path("NOTIFY_PRIVATE_KEY")),
                "MAIL_FOLDER": str(self.layout.mail),
                **self._handed(Mailing),
            },
            "media": lambda: {
                "STORAGE_SECRET_FILE": self._secret("STORAGE_SECRET"),
                "STORAGE_FOLDER": str(self.layout.state / "storage"),
                **self._handed(Keeping),
            },
            "payments": lambda: self._handed(Paying),
            "tasks": lambda: self._handed(Advising),
            "ledger": lambda: {"LOG_SIGNING_KEY_FILE": self._log_key(), "LOG_ORIGIN": self.log_origin},
        }
        return additions.get(service, dict)()

    def _while_rotated(self, name: str) -> dict[str, str]:
        path = self.vault.path(name)
        return {f"{name}_FILE": str(path)} if path.exists() else {}

    @property
    def log_origin(self) -> str:
        """The name of this platform's transparency log; two platforms never share one, and it never changes."""
        return self.vault.ensure("LOG_ORIGIN", lambda: f"lumiere.film/log/{self.layout.identity}")

    def write_log_key(self) -> None:
        """Leave the log's public key where `lumiere proof verify` looks for it."""
        signer = NoteSigner.parse(self.vault.path("LOG_SIGNING_KEY").read_text(encoding="utf-8"))
        (self.layout.state / LOG_KEY_FILE).write_text(f"{signer.verifier_key}\n", encoding="utf-8")

    def _secret(self, name: str) -> str:
        self.vault.ensure(name)
        return str(self.vault.path(name))

    def _log_key(self) -> str:
        self.vault.ensure("LOG_SIGNING_KEY", lambda: NoteSigner.generate(self.log_origin).private_key)
        return str(self.vault.path("LOG_SIGNING_KEY"))


def notify_public_key(vault: Vault) -> str:
    """The X25519 public key of notify, base64; the pair is generated when it is new."""
    private = vault.ensure("NOTIFY_PRIVATE_KEY", lambda: base64.b64encode(bytes(PrivateKey.generate())).decode("ascii"))
    # Older keys stand behind the newest.
    newest = private.split()[0]
    return base64.b64encode(bytes(PrivateKey(base64.b64decode(newest)).public_key)).decode("ascii")
