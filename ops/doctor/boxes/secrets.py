"""Secrets: strong, each for one thing, in files that nobody else reads, and in no image or repository."""

import os
import re
import stat
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr, TypeAdapter, ValidationError

from libs.common.config import SECRET_LENGTH_MIN, Secret
from ops.doctor.box import Finding, NotApplicable, NotExamined, Target, bad, box, good, judged
from ops.doctor.examined import Examined

NAMED_MAX: Final = 5
ROOTS: Final = frozenset({"AUTH_SECRET", "REVOCATION_LIST_TOKEN", "GATEWAY_SECRET", "STORAGE_SECRET", "POSTGRES_PASSWORD"}) | {
    "REDIS_PASSWORD",
    "RABBITMQ_OPERATOR_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
}
"""What is a random value and nothing else."""
ADDRESS: Final = re.compile(r"(?:(?:MIGRATION_)?DATABASE_URL|AMQP_URL)_\w+")
ENVIRONMENT_FILE: Final = re.compile(r"(?:^|/)(?:\.env(?:\.[^/]*)?|[^/]+\.env)$")
GIT: Final = "git"
TEMPLATES: Final = ("template", "example", "sample")
SKIPPED: Final = frozenset({".git", ".venv", ".local", "node_modules", "__pycache__", "proc", "sys", "dev"})
_SECRET: Final[TypeAdapter[SecretStr]] = TypeAdapter(Secret)


@box(
    "auth-secret",
    "AUTH_SECRET is strong and used for nothing else",
    fix="Generate one: `openssl rand -base64 48`; docs/auth.md says how it is rotated without signing anybody out.",
    targets={Target.LOCAL, Target.COMPOSE, Target.ENGINE},
)
def auth_secret(examined: Examined) -> Finding:
    """Has AUTH_SECRET 32 characters or more, is no placeholder, and equals no other secret?"""
    if examined.secrets is None:
        return _asked_of_auth(examined)
    path = examined.secrets / "AUTH_SECRET"
    if not path.exists():
        return bad("it is not set")
    value = path.read_text(encoding="utf-8").strip()
    if weakness := _weakness(value):
        return bad(f"it {weakness}")
    twins = [name for name, text in _texts(examined.secrets) if name != "AUTH_SECRET" and value in text]
    return judged([f"{', '.join(twins)} holds the same value"] if twins else [], f"{len(value)} characters, found nowhere else")


def _asked_of_auth(examined: Examined) -> Finding:
    """No container but auth's has it. Auth does not start with a weak one."""
    told = [each.settings.get("auth_secret", False) for each in examined.processes() if each.service == "auth"]
    if not told:
        raise NotExamined("auth does not answer")
    if not all(told):
        return bad("auth runs without one")
    unseen = "whether another secret equals it is seen from outside: `lumiere doctor --compose`"
    return good(f"auth runs with one, and never with one under {SECRET_LENGTH_MIN} characters; {unseen}")


@box(
    "secrets-distinct",
    "Every secret is strong and of its own",
    fix="Generate each by itself (`openssl rand -base64 48`); docs/secrets.md says how each is rotated.",
    targets={Target.LOCAL, Target.ENGINE},
)
def distinct(examined: Examined) -> Finding:
    """Is no secret short or a placeholder, and no password used for two things?"""
    folder = _folder(examined)
    faults, holders = [], defaultdict(list)
    for name, text in _texts(folder):
        if name in ROOTS or name.startswith(("DATABASE_PASSWORD_", "AMQP_PASSWORD_")):
            holders[text].append(name)
            if weakness := _weakness(text):
                faults.append(f"{name} {weakness}")
        elif ADDRESS.fullmatch(name) and (password := urlsplit(text).password):
            # The same as a password's own file, which locally an address is put together from; never that of a second one.
            holders[f"{password} of an address"].append(name)
            if weakness := _weakness(password):
                faults.append(f"the password in {name} {weakness}")
    faults += [f"{' and '.join(names)} are the same" for names in holders.values() if len(names) > 1]
    return judged(faults[:NAMED_MAX], f"{len(holders)} secrets, all different")


def _weakness(value: str) -> str:
    try:
        _SECRET.validate_python(value)
    except ValidationError as error:
        return str(error.errors(include_input=False, include_url=False)[0]["msg"]).removeprefix("Value error, ")
    return ""


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            yield path.name, path.read_text(encoding="utf-8").strip()


def _folder(examined: Examined) -> Path:
    if examined.secrets is None or not examined.secrets.exists():
        raise NotExamined("the folder of secret files is not here")
    return examined.secrets


@box(
    "secret-files",
    "Nobody else reads the secret files",
    fix="`chmod 700` the folder and `chmod 600` the files in it; they belong to the user who runs the platform.",
    targets={Target.LOCAL, Target.ENGINE},
)
def secret_files(examined: Examined) -> Finding:
    """Is the folder of secret files closed to everybody else, and on this machine each file too?"""
    folder = _folder(examined)
    faults = []
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        faults.append(f"{folder} is open to others ({stat.S_IMODE(folder.stat().st_mode):o})")
    if folder.stat().st_uid not in (os.geteuid(), 0):
        faults.append(f"{folder} belongs to another user")
    paths = [path for path in folder.iterdir() if path.is_file()]
    if examined.target is Target.LOCAL:
        # In containers another user reads the files, through a folder that is closed.
        faults += [f"{path.name} is open to others" for path in sorted(paths) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    return judged(faults[:NAMED_MAX], f"{len(paths)} files in a folder that is closed to others")


@box(
    "no-env-file",
    "No .env file is committed or shipped",
    fix="Remove it (`git rm --cached`, then rotate every value in it: `lumiere secrets`); ship deploy/env.template only.",
    targets={Target.LOCAL, Target.COMPOSE, Target.ENGINE},
    seconds=240,
)
def no_env_file(examined: Examined) -> Finding:
    """Is no .env file under version control now or ever, and none in the images (each is looked at where it can be seen)?"""
    if examined.target is Target.ENGINE:
        return _in_images(examined)
    if examined.target is Target.LOCAL and (examined.root / ".git").exists():
        return _in_repository(examined.root)
    found = [path for path in _walked(examined.root) if _is_environment(path)]
    return judged([f"{path} is here" for path in found[:NAMED_MAX]], f"none below {examined.root}")


def _in_repository(root: Path) -> Finding:
    now = _git(root, "ls-files")
    ever = _git(root, "log", "--all", "--diff-filter=A", "--name-only", "--format=", "--", ":(glob)**/.env*", ":(glob)**/*.env")
    faults = [f"{path} is committed" for path in now if _is_environment(path)]
    faults += [
        f"{path} was committed once: its values are in the history" for path in set(ever) - set(now) if _is_environment(path)
    ]
    return judged(
        sorted(faults)[:NAMED_MAX], f"{len(now)} files under version control, none of them an environment file, now or ever"
    )


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run([GIT, "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotExamined(f"git {arguments[0]} failed")
    return done.stdout.splitlines()


def _in_images(examined: Examined) -> Finding:
    engine = examined.around()
    images = engine.images(engine.built_services())
    if not images:
        raise NotApplicable("no image of this project is built here")
    faults = []
    for image, about in images.items():
        name = (about.get("RepoTags") or [image])[0]
        faults += [f"{name} holds {path}" for path in engine.files_in(image) if _is_environment(path)]
    return judged(faults[:NAMED_MAX], f"{len(images)} images, no environment file in any of them")


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [each for each in folders if each not in SKIPPED]
        yield from (str(Path(folder) / name) for name in names)


def _is_environment(path: str) -> bool:
    return ENVIRONMENT_FILE.search(path) is not None and not any(word in path for word in TEMPLATES)
