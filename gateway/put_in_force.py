"""In a child of the control process: put in force what is declared now, and tell what came of it (gateway/delegated.py)."""

import os
import sys

from gateway.current import KeySetRefused
from gateway.delegated import Answer, Wanted
from gateway.discovery import KnownTargets
from gateway.door import TargetError
from gateway.folder import Folder
from gateway.haproxy import HaproxyError
from gateway.manifest import ManifestError
from gateway.settings import GatewaySettings
from gateway.state import Gateway


def put_in_force(settings: GatewaySettings, document: bytes) -> Answer:
    """Compile with these replicas and keys. What is refused is told, not raised."""
    wanted = Wanted.model_validate_json(document)
    gateway = Gateway(settings.door(), Folder(settings.gateway_folder), KnownTargets(wanted.targets))
    try:
        changed = gateway.compile(wanted.key_set)
    except KeySetRefused as error:
        return Answer(outcome="key_set_refused", reason=str(error))
    except (ManifestError, TargetError, HaproxyError, OSError) as error:
        return Answer(outcome="refused", reason=f"{type(error).__name__}: {error}")
    return Answer(outcome="in_force" if changed else "unchanged", expiries=dict(gateway.expiries))


def main(settings: GatewaySettings, handed: int) -> int:
    """Read what was handed over, answer on standard output. The exit code: 0 it is in force, 1 it is not."""
    with os.fdopen(handed, "rb") as file:
        answer = put_in_force(settings, file.read())
    sys.stdout.write(answer.model_dump_json())
    sys.stdout.flush()
    return 0 if answer.outcome in {"in_force", "unchanged"} else 1
