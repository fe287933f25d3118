"""Postgres: metadata, the one transaction boundary, migrations and least privilege."""

from libs.common.db.database import Database, Reader, Transaction
from libs.common.db.figures import declare_figures
from libs.common.db.migrate import kernel_upgrade, migrate
from libs.common.db.provision import monitor_role, owner_role, provision, provision_monitor, runtime_role
from libs.common.db.tables import APPEND_ONLY, KernelTables, id_column, kernel_tables, money_columns, new_metadata, timestamp

__all__ = [
    "APPEND_ONLY",
    "Database",
    "KernelTables",
    "Reader",
    "Transaction",
    "declare_figures",
    "id_column",
    "kernel_tables",
    "kernel_upgrade",
    "migrate",
    "money_columns",
    "monitor_role",
    "new_metadata",
    "owner_role",
    "provision",
    "provision_monitor",
    "runtime_role",
    "timestamp",
]
