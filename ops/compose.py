"""Secrets and certificates for the platform in containers."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import click
from sqlalchemy import make_url

from libs.common import clock
from libs.common.config import load
from libs.common.db.provision import backup_role, monitor_role, owner_role, runtime_role
from libs.common.events.topology import GATEWAY, OPERATOR, definitions
from libs.common.tls import AMQP, with_parameters
from ops import authority
from ops.authority import Authority, Leaf, Standing, standing
from ops.command_line import json_option, told
from ops.console import out, print_json
from ops.environment import notify_public_key
from ops.layout import Layout
from ops.settings import ROOT, PlatformSettings
from ops.vault import FILE_MODE, Vault, random_secret
from services.ledger.domain.notes import NoteSigner

FOLDER = ROOT / "deploy" / "secrets"
MOUNTED = Path("/run/secrets")
LOG_ORIGIN = "lumiere.film/log/compose"
DATABASE = "postgresql://{user}:{password}@postgres:5432/lumiere?sslmode=verify-full"
BROKER = "amqps://{user}:{password}@rabbitmq:5671/"
MANAGEMENT = f"https://{OPERATOR}:{{password}}@rabbitmq:15671/?cacertfile={MOUNTED}/{authority.CERTIFICATE}"
REDIS = "rediss://:{password}@redis:6379/0"
# The folder is this user's alone; the files are read inside containers by another user.
MOUNTED_FILE_MODE = 0o444
FOLDER_MODE = 0o700
NEVER_MOUNTED = frozenset({authority.KEY, "RABBITMQ_OPERATOR_PASSWORD", "REDIS_PASSWORD", "DEMO_ADMIN_PASSWORD"})
GENERATED = ("POSTGRES_PASSWORD", "REVOCATION_LIST_TOKEN", "AUTH_SECRET", "STORAGE_SECRET", "GATEWAY_SECRET", "CRON_SECRET")
BETWEEN_NODES = ("RABBITMQ_COOKIE",)
"""What several brokers know each other by (docs/cluster.md); one needs none."""
WATCHING = ("GRAFANA_ADMIN_PASSWORD",)
BUCKET_KEYS = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
"""Of deploy/s3.yml's own server; whoever has a bucket elsewhere writes the keys that its owner gave."""
GIVEN = (
    "OIDC_PROVIDERS",
    "STRIPE_SECRET_KEY",
    "ANTHROPIC_API_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "RESEND_API_KEY",
    "SMTP_URL",
    "SENTRY_DSN",
    "INCIDENT_SLACK_WEBHOOK",
    "PAGERDUTY_ROUTING_KEY",
)
"""Empty, and what they open shut, until the operator writes what others gave."""
NOTHING = "\n"
"""What an empty secret holds: Swarm takes none without a byte, and who reads it strips it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the folder of secrets holds now."""

    secrets: list[str]
    renewed: list[str]
    """Certificates that were made, or made anew."""
    certificates: list[Standing]


def prepare(folder: Path = FOLDER, *, renew: bool = False) -> Prepared:
    """Generate what is missing below `folder`; what is there stays. `renew` makes all certificates anew."""
    vault = Vault(folder)
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)  # one that somebody made is open to others, and below it stand files that others may read
    services = list(Layout(load(PlatformSettings, {})).services)
    for name in (*GENERATED, *WATCHING, *BETWEEN_NODES):
        vault.ensure(name)
    for name in GIVEN:
        if not vault.ensure(name, lambda: NOTHING):
            vault.write(name, NOTHING)
    for name in BUCKET_KEYS:
        vault.ensure(name)
    vault.ensure("LOG_SIGNING_KEY", lambda: NoteSigner.generate(LOG_ORIGIN).private_key)
    vault.write("NOTIFY_PUBLIC_KEY", notify_public_key(vault))
    for service in services:
        _database(vault, f"DATABASE_URL_{service.upper()}", runtime_role(service))
        _database(vault, f"MIGRATION_DATABASE_URL_{service.upper()}", owner_role(service))
    _database(vault, "MONITORING_DATABASE_URL", monitor_role())
    _database(vault, "DATABASE_URL_BACKUP", backup_role())
    _broker(vault, services)
    _redis(vault)
    renewed = Authority(vault).ensure(leaves(services), renew=renew)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    for name in names:
        vault.path(name).chmod(FILE_MODE if name in NEVER_MOUNTED else MOUNTED_FILE_MODE)
    return Prepared(names, renewed, standing(folder))


def leaves(services: Iterable[str]) -> list[Leaf]:
    """Who has a certificate: the servers, each service under the names of its processes, and the gateway, which only calls."""
    servers = [Leaf(name, (name, "localhost"), calls=name == "redis") for name in ("postgres", "rabbitmq", "redis")]
    own = [Leaf(name, (name, f"{name}-worker", f"{name}-stream", "localhost"), calls=True) for name in services]
    return [*servers, *own, Leaf(GATEWAY, (GATEWAY,), serves=False, calls=True)]


def _beside_compose(_context: click.Context, _option: click.Parameter, given: Path) -> Path:
    """As `docker compose` reads LUMIERE_SECRETS: from the folder of compose.yml."""
    return FOLDER.parent / given.expanduser()


folder_option = click.option(
    "--secrets",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER.name,
    envvar="LUMIERE_SECRETS",
    show_envvar=True,
    callback=_beside_compose,
    help="Folder of the secrets; a relative one is below deploy/.",
)


@click.group()
def command() -> None:
    """The platform in containers."""


@command.command(name="prepare")
@click.option("--renew", is_flag=True, help="Make every certificate anew; the authority and all secrets stay.")
@folder_option
@json_option
@told
def prepare_command(renew: bool, folder: Path, as_json: bool) -> None:
    """Generate the secrets and certificates that deploy/compose.yml mounts; those that are there stay.

    A certificate with less than 30 days left is made anew by itself. Containers take new ones when they start.
    """
    done = prepare(folder, renew=renew)
    first = done.certificates[0]
    if as_json:
        certificates = [{"file": each.file, "until": each.until.isoformat()} for each in done.certificates]
        print_json({"folder": str(folder), "secrets": done.secrets, "renewed": done.renewed, "certificates": certificates})
        return
    out.print(f"{len(done.secrets)} secrets in {folder}, for this user only.")
    made = f"{len(done.renewed)} files made now; " if done.renewed else ""
    ends = f"{first.until:%Y-%m-%d}, in {first.days(clock.now())} days ({first.file})"
    out.print(f"{len(done.certificates)} certificates: {made}the first ends on {ends}.")
    out.print("[dim]next:[/] docker compose -f deploy/compose.yml up --build --wait")


def _database(vault: Vault, name: str, role: str) -> None:
    given = vault.ensure(name, lambda: DATABASE.format(user=role, password=random_secret()))
    vault.write(name, with_parameters(given, sslmode="verify-full"))  # one from before Postgres spoke TLS


def _broker(vault: Vault, services: list[str]) -> None:
    passwords = {OPERATOR: vault.ensure("RABBITMQ_OPERATOR_PASSWORD")}
    vault.write("AMQP_MANAGEMENT_URL", MANAGEMENT.format(password=quote(passwords[OPERATOR], safe="")))
    for user in (*services, GATEWAY):
        name = f"AMQP_URL_{user.upper()}"
        given = make_url(vault.ensure(name, lambda user=user: BROKER.format(user=user, password=random_secret())))  # type: ignore[misc]
        passwords[user] = str(given.password)
        if given.drivername == AMQP and given.host == "rabbitmq":  # one from before RabbitMQ spoke TLS
            vault.write(name, BROKER.format(user=user, password=quote(passwords[user], safe="")))
    vault.ensure("RABBITMQ_DEFINITIONS", lambda: json.dumps(definitions(services, passwords), indent=1))


def _redis(vault: Vault) -> None:
    password = vault.ensure("REDIS_PASSWORD")
    digest = hashlib.sha256(password.encode()).hexdigest()
    vault.write("REDIS_ACL", f"user default on #{digest} ~* &* +@all -@admin -@dangerous\n")
    vault.ensure("REDIS_URL", lambda: REDIS.format(password=quote(password, safe="")))
