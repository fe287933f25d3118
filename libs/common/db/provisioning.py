"""`python -m libs.common.db.provisioning`: in containers, every service's roles and schema from the secrets that are mounted.

It alone holds Postgres's own password, which it needs once; afterwards each service comes as itself.
"""

import sys
from pathlib import Path
from typing import Final

from libs.common.db.database import psycopg2_url
from libs.common.db.provision import provision, provision_backup, provision_monitor
from libs.common.tls import database_with

MOUNTED: Final = Path("/run/secrets")
ADMINISTRATOR: Final = "POSTGRES_PASSWORD"
AUTHORITY: Final = "TLS_AUTHORITY"
OWNERS: Final = "MIGRATION_DATABASE_URL_"
RUNTIME: Final = "DATABASE_URL_"
MONITORING: Final = "MONITORING_DATABASE_URL"
BACKUP: Final = "DATABASE_URL_BACKUP"


def provision_all(mounted: Path = MOUNTED) -> list[str]:
    """Give every service whose addresses are mounted its roles and schema, with the passwords that stand there.

    Safe to repeat and to race. Returns the services.
    """
    services = sorted(path.name.removeprefix(OWNERS).lower() for path in mounted.glob(f"{OWNERS}*"))
    # Before the schemas: each grants the monitoring role its figures.
    if (watching := mounted / MONITORING).exists():
        address = _read(watching)
        provision_monitor(_administrator(address, mounted), _password(address))
    for service in services:
        owner = _read(mounted / f"{OWNERS}{service.upper()}")
        runtime = _read(mounted / f"{RUNTIME}{service.upper()}")
        provision(_administrator(owner, mounted), service, _password(owner), _password(runtime))
    # After them: it may read what is there.
    if (reading := mounted / BACKUP).exists():
        address = _read(reading)
        provision_backup(_administrator(address, mounted), _password(address))
    return services


def _administrator(address: str, mounted: Path) -> str:
    """The same database as its superuser."""
    url = psycopg2_url(address).set(drivername="postgresql", username="postgres", password=_read(mounted / ADMINISTRATOR))
    return database_with(url.render_as_string(hide_password=False), mounted / AUTHORITY)


def _password(address: str) -> str:
    return str(psycopg2_url(address).password)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    sys.stdout.write(f"roles and schemas of {', '.join(provision_all())} are there\n")
