"""Make a bare machine ready: system packages and `.venv`. Standard library only, because nothing else is there yet.

python3 ops/bootstrap.py packages [--external-database] [--external-broker] [--tests]
python3 ops/bootstrap.py environment
"""

import argparse
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.lock"
LAUNCHER = VENV / "bin" / "lumiere"
STAMP = VENV / ".lumiere-lock"
LOG = VENV / "bootstrap.log"
PYTHON_FLOOR = (3, 11)
POLICY = Path("/usr/sbin/policy-rc.d")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Commands of the browser that the tests look for. On Ubuntu `chromium` is no package: install one of the others first."""

# What proves that a system package is there: any file that matches one of its patterns.
PROOFS = {
    "postgresql": ("/usr/lib/postgresql/*/bin/postgres",),
    "rabbitmq-server": ("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",),
    "haproxy": ("/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/local/bin/haproxy"),
    "redis-server": ("/usr/bin/redis-server", "/usr/local/bin/redis-server"),
    "pebble": ("/usr/bin/pebble",),
    "certbot": ("/usr/bin/certbot",),
    "chromium": tuple(f"/usr/bin/{name}" for name in BROWSERS),
}
FOR_TESTS = frozenset({"chromium", "redis-server", "pebble", "certbot"})
"""What only the tests need; about 125 MB to fetch."""


def say(message: str) -> None:
    """Write one line for the person who waits."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def stop(message: str) -> NoReturn:
    """End with a message that says what to do."""
    say(message)
    raise SystemExit(1)


def main(arguments: Sequence[str]) -> None:
    """Run one of the two steps; each is a no-op when nothing is missing."""
    if sys.version_info < PYTHON_FLOOR:
        stop(
            f"Python {PYTHON_FLOOR[0]}.{PYTHON_FLOOR[1]} or newer is needed; this is {sys.version.split()[0]}. "
            "Name another one: make PYTHON=python3.12 …"
        )
    parser = argparse.ArgumentParser(description="Make a bare machine ready.")
    parser.add_argument("step", choices=["packages", "environment"])
    parser.add_argument("--external-database", action="store_true", help="DATABASE_URL is given: no Postgres is needed here")
    parser.add_argument("--external-broker", action="store_true", help="AMQP_URL is given: no RabbitMQ is needed here")
    parser.add_argument("--tests", action="store_true", help="The tests are meant to run: a browser and Redis are needed too")
    options = parser.parse_args(arguments)
    if options.step == "packages":
        needless = {"postgresql"} if options.external_database else set()
        needless |= {"rabbitmq-server"} if options.external_broker else set()
        needless |= set() if options.tests else FOR_TESTS
        ensure_packages([name for name in missing_packages() if name not in needless])
    else:
        ensure_environment()


def missing_packages() -> list[str]:
    """System packages that are not installed, in the order in which they are named to people."""
    missing = [name for name, patterns in PROOFS.items() if not any(_exists(pattern) for pattern in patterns)]
    return missing + (["python3-venv"] if _lacks_venv() and not LAUNCHER.exists() else [])


def _exists(pattern: str) -> bool:
    return any(Path("/").glob(pattern.lstrip("/")))


def _lacks_venv() -> bool:
    """Debian ships Python without `ensurepip`; a virtual environment cannot be made then."""
    return importlib.util.find_spec("ensurepip") is None


def install_line(packages: Sequence[str]) -> str:
    """The one line that a normal user has to run."""
    return f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def ensure_packages(packages: Sequence[str]) -> None:
    """Install what is missing as root; as anybody else name the line to run and end."""
    if not packages:
        return
    if shutil.which("apt-get") is None:
        stop(
            f"Missing: {', '.join(packages)}. Install PostgreSQL 15+, RabbitMQ 3.10+ and HAProxy 2.6+ "
            "with this system's package manager, then repeat."
        )
    if os.geteuid() != 0:
        stop(
            f"System packages are missing: {', '.join(packages)}. Run this line, then repeat:\n\n    {install_line(packages)}\n"
        )
    say(f"Installing system packages: {', '.join(packages)} (none of their services is started)")
    with services_kept_stopped():
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
        _run([*apt, "update"], "apt-get update failed; the lines above say why")
        _run([*apt, "install", "-y", "--no-install-recommends", *packages], "apt-get install failed; the lines above say why")


def _run(command: Sequence[str], failure: str) -> None:
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
        stop(failure)


@contextmanager
def services_kept_stopped(policy: Path = POLICY) -> Iterator[None]:
    """Package scripts ask this policy before they start a service: 101 forbids it. What stood there before comes back."""
    kept = policy.with_name(policy.name + ".lumiere-kept")
    if policy.exists() and not kept.exists():
        policy.rename(kept)
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    policy.chmod(0o755)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
        policy.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(policy)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def ensure_environment() -> None:
    """Create `.venv`, install exactly what the lock names (hashes checked), and the `lumiere` command."""
    digest = hashlib.sha256(LOCK.read_bytes() + str(ROOT).encode()).hexdigest()
    if not (LAUNCHER.exists() and STAMP.exists() and STAMP.read_text(encoding="ascii") == digest):
        if _lacks_venv():
            ensure_packages(["python3-venv"])
        _make_environment()
        _install_locked()
        _install_command()
        STAMP.write_text(digest, encoding="ascii")
    LAUNCHER.touch()


def _make_environment() -> None:
    if (VENV / "bin" / "python").exists() and (VENV / "bin" / "pip").exists():
        return
    _refuse_foreign_folder()
    say(f"Creating .venv with Python {sys.version.split()[0]}")
    venv.create(VENV, with_pip=True, clear=VENV.exists() and not VENV.is_symlink())


def _refuse_foreign_folder() -> None:
    owner = ROOT.stat().st_uid
    if os.geteuid() not in (0, owner):
        stop(f"{ROOT} belongs to {pwd.getpwuid(owner).pw_name}: work in a clone of your own.")


def _install_locked() -> None:
    total = sum("==" in line and not line.startswith((" ", "#")) for line in LOCK.read_text(encoding="utf-8").splitlines())
    say(f"Installing {total} Python packages from {LOCK.relative_to(ROOT)} (the first time takes a minute or two)")
    _pip("install", "--require-hashes", "--no-deps", "--no-input", "-r", str(LOCK), total=total)


def _install_command() -> None:
    say("Installing the lumiere command")
    _pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT), total=1)


def _pip(*arguments: str, total: int) -> None:
    """Run pip; tell every few seconds how far it is, and show its last lines when it fails."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    seen, told, lines = 0, time.monotonic(), list[str]()
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        for line in process.stdout or ():
            log.write(line)
            lines = [*lines[-19:], line.rstrip()]
            seen += line.startswith("Collecting ")
            if line.startswith(("Collecting ", "Installing ")) and time.monotonic() - told > 2:
                told = time.monotonic()
                say(
                    f"  unpacking all {total}"
                    if line.startswith("Installing ")
                    else f"  {seen} of {total}: {line.split()[1].split('==')[0]}"
                )
        if process.wait() != 0:
            stop("\n".join([*lines, f"pip failed; the whole of its output is in {LOG.relative_to(ROOT)}"]))


if __name__ == "__main__":
    main(sys.argv[1:])
