"""The doors of the platform that the test run starts, and the operator's command on it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from ops.testing import LivePlatform
from tests.journeys.doors import Doors

Lumiere = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="session")
def doors(platform: LivePlatform) -> Iterator[Doors]:
    """Gateway and services of the running platform."""
    opened = Doors(platform)
    yield opened
    opened.close()


@pytest.fixture
def lumiere(platform: LivePlatform, monkeypatch: pytest.MonkeyPatch) -> Lumiere:
    """The `lumiere` command on this platform: (exit code, what `--json` answers)."""
    settings = platform.layout.settings
    for name, value in {
        "LUMIERE_HOME": str(platform.state),
        "LUMIERE_PORT": str(settings.lumiere_port),
        "LUMIERE_PORT_BASE": str(settings.lumiere_port_base),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(main, [*arguments, "--json"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, json.loads(result.stdout) if result.stdout.strip() else result.stderr

    return run
