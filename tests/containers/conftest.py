"""What stands on a real container engine; without one these tests are skipped, and say so loudly."""

import shutil
import subprocess

import pytest

SKIPPED = "no container engine answers: start one, or set DOCKER_HOST, and run `make compose-test` again"


@pytest.fixture(scope="session", autouse=True)
def engine() -> str:
    """The `docker` command, once its engine has answered."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip(SKIPPED)
    asked = subprocess.run([docker, "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, check=False)
    if asked.returncode != 0 or not asked.stdout.strip():
        pytest.skip(SKIPPED)
    return docker
