"""What the control process does not hold, since it stays for as long as the platform runs."""

import platform
import subprocess
import sys

import pytest

from gateway.manifest import ROOT

UNWANTED = ("sqlalchemy", "psycopg2", "pika", "httpx", "gateway.policy_commands", "gateway.containment_commands")


def test_the_control_process_loads_no_database_no_second_client_and_no_operators_command() -> None:
    program = f"import sys, gateway.__main__, gateway.control; print([name for name in {UNWANTED} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_the_allocator_takes_the_settings() -> None:
    program = "import sys; from gateway.heap import keep_small; sys.exit(not keep_small())"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False).returncode == 0
