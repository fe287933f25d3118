"""What the control process does not hold, since it stays for as long as the platform runs."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.manifest import ROOT
from gateway.tests.site import variables

UNWANTED = (
    "sqlalchemy",
    "psycopg2",
    "pika",
    "httpx",
    "joserfc",
    "cryptography",
    "jinja2",
    "flask",
    "werkzeug",
    "gevent",
    "email_validator",
    "gateway.state",
    "gateway.compiler",
    "gateway.pages",
    "gateway.policy_commands",
    "gateway.containment_commands",
)
PROGRAM = """
import sys
import gateway.__main__
from gateway.control import Control
from gateway.settings import GatewaySettings
from libs.common.config import load

control = Control(load(GatewaySettings))
control.gateway.fingerprint()
control.status()
control.exposition()
print([name for name in {unwanted} if name in sys.modules])
"""


def test_the_control_process_loads_no_database_no_cryptography_no_templates_no_web_framework_and_no_operators_command(
    tmp_path: Path,
) -> None:
    given = variables(tmp_path / "gateway")
    command = [sys.executable, "-c", PROGRAM.format(unwanted=UNWANTED)]
    told = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_the_allocator_takes_the_settings() -> None:
    program = "import sys; from gateway.heap import keep_small; sys.exit(not keep_small())"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False).returncode == 0
