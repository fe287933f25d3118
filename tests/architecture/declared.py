"""The services as they declare themselves."""

from functools import cache

from libs.common.service import Service
from ops.declarations import services as found_services
from tests.architecture.source import ROOT


@cache
def services() -> tuple[Service, ...]:
    """Every service of the repository."""
    return tuple(found_services(ROOT))


def folders() -> set[str]:
    """The folders below services/."""
    return {path.name for path in (ROOT / "services").iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
