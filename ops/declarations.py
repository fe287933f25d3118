"""What the services and the command declare, as code: read by checks, generated files and the doctor."""

from importlib import import_module
from pathlib import Path

from gateway.settings import GatewaySettings
from libs.common.config import Settings, VaultSettings
from libs.common.service import Service
from ops import variables
from ops.backup.settings import BackupSettings
from ops.observability.watchman import WatchmanSettings
from ops.release.settings import ReleaseSettings
from ops.settings import ROOT, PlatformSettings


def services(root: Path = ROOT) -> list[Service]:
    """Every service that can be assembled."""
    names = sorted(path.parent.name for path in (root / "services").glob("*/app.py"))
    return [import_module(f"services.{name}.app").service for name in names]


def settings_classes(found: list[Service]) -> dict[str, type[Settings]]:
    """Reader → what it reads: every service, the gateway, and the `lumiere` command."""
    readers: dict[str, type[Settings]] = {service.name: service.settings for service in found}
    own: dict[str, type[Settings]] = {
        variables.GATEWAY: GatewaySettings,
        variables.OPERATOR: PlatformSettings,
        variables.BACKUP: BackupSettings,
        variables.RELEASE: ReleaseSettings,
        variables.VAULT: VaultSettings,
        variables.WATCHMAN: WatchmanSettings,
    }
    return readers | own
