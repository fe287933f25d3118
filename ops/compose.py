"""Secrets for the platform in containers, and the step that gives its database roles and schemas."""

import json
import sys
from functools import partial
from pathlib import Path
from urllib.parse import quote

import click
from sqlalchemy import make_url

from libs.common.config import load
from libs.common.db.provision import (
    backup_role,
    monitor_role,
    owner_role,
    provision,
    provision_backup,
    provision_monitor,
    runtime_role,
)
from libs.common.events.topology import GATEWAY, OPERATOR, definitions
from ops.console import out
from ops.environment import notify_public_key
from ops.layout import Layout
from ops.settings import ROOT, PlatformSettings
from ops.vault import Vault, random_secret
from services.ledger.domain.notes import NoteSigner

FOLDER = ROOT / "deploy" / "secrets"
MOUNTED = Path("/run/secrets")
LOG_ORIGIN = "lumiere.film/log/compose"
DATABASE = "postgresql://{user}:{password}@postgres:5432/lumiere"
# The folder is this user's alone; the files are read inside containers by another user.
MOUNTED_FILE_MODE = 0o444


def prepare(folder: Path = FOLDER) -> list[str]:
    """Generate what is missing below `folder`; returns the names of all secrets. What is there stays."""
    vault = Vault(folder)
    services = list(Layout(load(PlatformSettings, {})).services)
    for name in (
        "POSTGRES_PASSWORD",
        "REVOCATION_LIST_TOKEN",
        "AUTH_SECRET",
        "STORAGE_SECRET",
        "GATEWAY_SECRET",
        "CRON_SECRET",
    ):
        vault.ensure(name)
    vault.ensure("LOG_SIGNING_KEY", lambda: NoteSigner.generate(LOG_ORIGIN).private_key)
    vault.ensure("OIDC_PROVIDERS", str)  # empty: nobody else signs people in until the operator writes who may
    vault.ensure("STRIPE_WEBHOOK_SECRET", str)  # empty: shut until the operator writes what Stripe gave
    vault.write("NOTIFY_PUBLIC_KEY", notify_public_key(vault))
    for service in services:
        vault.ensure(f"DATABASE_URL_{service.upper()}", partial(_database_url, runtime_role(service)))
        vault.ensure(f"MIGRATION_DATABASE_URL_{service.upper()}", partial(_database_url, owner_role(service)))
    vault.ensure("MONITORING_DATABASE_URL", partial(_database_url, monitor_role()))
    vault.ensure("DATABASE_URL_BACKUP", partial(_database_url, backup_role()))
    _broker(vault, services)
    names = sorted(path.name for path in folder.iterdir())
    for name in names:
        vault.path(name).chmod(MOUNTED_FILE_MODE)
    return names


@click.group()
def command() -> None:
    """The platform in containers."""


@command.command(name="prepare")
def prepare_command() -> None:
    """Generate the secrets that deploy/compose.yml mounts; those that are there stay."""
    names = prepare()
    out.print(f"{len(names)} secrets in {FOLDER.relative_to(ROOT)}/, for this user only.")
    out.print("[dim]next:[/] docker compose -f deploy/compose.yml up --build --wait")


def _database_url(role: str) -> str:
    return DATABASE.format(user=role, password=random_secret())


def _broker(vault: Vault, services: list[str]) -> None:
    passwords = {OPERATOR: vault.ensure("RABBITMQ_OPERATOR_PASSWORD")}
    vault.ensure("AMQP_MANAGEMENT_URL", lambda: f"http://{OPERATOR}:{quote(passwords[OPERATOR], safe='')}@rabbitmq:15672")
    for user in (*services, GATEWAY):
        address = vault.ensure(f"AMQP_URL_{user.upper()}", partial(_broker_url, user))
        passwords[user] = str(make_url(address).password)
    vault.ensure("RABBITMQ_DEFINITIONS", lambda: json.dumps(definitions(services, passwords), indent=1))


def _broker_url(user: str) -> str:
    return f"amqp://{user}:{random_secret()}@rabbitmq:5672/"


def provision_all(mounted: Path = MOUNTED) -> None:
    """Give every service its roles and schema, with the passwords of the mounted secrets. Safe to repeat and to race."""
    admin = DATABASE.format(user="postgres", password=(mounted / "POSTGRES_PASSWORD").read_text(encoding="utf-8"))
    # Before the schemas: each grants the monitoring role its figures.
    if (watching := mounted / "MONITORING_DATABASE_URL").exists():
        provision_monitor(admin, _password_in(watching))
    for path in sorted(mounted.glob("MIGRATION_DATABASE_URL_*")):
        service = path.name.removeprefix("MIGRATION_DATABASE_URL_").lower()
        provision(admin, service, _password_in(path), _password_in(mounted / f"DATABASE_URL_{service.upper()}"))
    if (reading := mounted / "DATABASE_URL_BACKUP").exists():
        provision_backup(admin, _password_in(reading))


def _password_in(path: Path) -> str:
    return str(make_url(path.read_text(encoding="utf-8")).password)


if __name__ == "__main__":
    if sys.argv[1:] != ["provision"]:
        raise SystemExit("usage: python -m ops.compose provision")
    provision_all()
