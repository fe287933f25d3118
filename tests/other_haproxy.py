"""Another HAProxy for a whole test run: `LUMIERE_HAPROXY_IMAGE=haproxy:3.0` runs the one of a container image.

Whoever looks for `haproxy` in these tests, the gateway's own processes included, finds a program that starts a container. It
shares this machine's network, processes and its folders, so that sockets, ports and signals mean what they always do.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from gateway.manifest import ROOT
from libs.common.config import process_environment
from libs.common.ids import new_id

VARIABLE: Final = "LUMIERE_HAPROXY_IMAGE"
OF_DOCKER: Final = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")
"""What tells `docker` where its engine is; processes of the platform do not inherit it."""


@contextmanager
def other_haproxy() -> Iterator[str | None]:
    """Put HAProxy of the image that the environment names before all others; yields what it says of itself, or None.

    Without an engine that can run the image the test run ends here: green on the installed HAProxy would prove nothing.
    """
    image = process_environment().get(VARIABLE)
    if not image:
        yield None
        return
    docker = shutil.which("docker")
    if docker is None:
        pytest.exit(f"{VARIABLE}={image}: there is no `docker` here to run it with; unset it to test the installed HAProxy", 2)
    label = f"lumiere-test-run={new_id()}"
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as changes:
        program = Path(folder) / "haproxy"
        program.write_text(_program(docker, image, label), encoding="utf-8")
        program.chmod(0o755)
        asked = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
        if asked.returncode != 0:
            pytest.exit(f"{VARIABLE}={image}: the engine does not run it: {asked.stderr.strip()}", 2)
        changes.setenv("PATH", folder, prepend=os.pathsep)
        try:
            yield asked.stdout.splitlines()[0]
        finally:
            _remove(docker, label)


def _program(docker: str, image: str, label: str) -> str:
    environment = process_environment()
    where = [f"{name}={environment[name]}" for name in OF_DOCKER if name in environment]
    folders = {str(ROOT), tempfile.gettempdir()}
    mounts = [argument for folder in sorted(folders) for argument in ("--volume", f"{folder}:{folder}")]
    owner = f"{os.getuid()}:{os.getgid()}"
    command = ["env", *where, docker, "run", "--rm", "--label", label, "--network", "host", "--pid", "host", "--user", owner]
    return f'#!/bin/sh\nexec {shlex.join([*command, *mounts, "--entrypoint", "haproxy", image])} "$@"\n'


def _remove(docker: str, label: str) -> None:
    """What a killed client left running."""
    found = subprocess.run(
        [docker, "ps", "--all", "--quiet", "--filter", f"label={label}"], capture_output=True, text=True, check=True
    )
    if found.stdout.split():
        subprocess.run([docker, "rm", "--force", *found.stdout.split()], capture_output=True, check=True)
