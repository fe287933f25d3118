"""What the services declare can be compiled together; where HAProxy is installed, it reads the result."""

import tempfile
from pathlib import Path

from gateway import haproxy, policy_commands, rules
from gateway.compiler import compile_configuration
from gateway.folder import Folder
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError, manifest_paths
from libs.common import clock
from ops.settings import ROOT


def faults(root: Path = ROOT) -> str:
    """One line for every fault, by file and line; empty when there is none."""
    try:
        files = compile_configuration(
            rules.declared(manifest_paths(root)), policy_commands.nobodys_door(), (), {}, clock.now().date()
        )
    except ManifestError as error:
        return str(error)
    try:
        haproxy.executable()
    except HaproxyError:
        return ""
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(Path(place))
        try:
            haproxy.validate(folder, folder.stage(files))
        except HaproxyError as error:
            return str(error)
    return ""
