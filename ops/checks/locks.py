"""The locks fit pyproject.toml and the requirements/*.in; each image's lock is its part of runtime.lock.

Every requirement is pinned to a version that it allows, with hashes, and no index is named. Works without any registry.
`python -m ops.checks.locks --write` makes the locks anew, which needs one; `--images` those of the images, which needs none.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.images.contents import images
from ops.images.needs import lock_faults, write_locks
from ops.settings import ROOT

PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
OPTION = re.compile(r"^\s*--?(?!hash=)[a-z]")


def faults(root: Path = ROOT) -> str:
    """One line for every fault; empty when all fits."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime, developer = ((root / "requirements" / f"{name}.lock") for name in ("runtime", "dev"))
    wanted = [Requirement(text) for text in project["dependencies"]]
    extra = [Requirement(text) for text in project["optional-dependencies"]["dev"]]
    found = _lock_faults(runtime, wanted) + _lock_faults(developer, [*wanted, *extra])
    found += _differences(pins(runtime), pins(developer))
    for listed in apart(root):
        found += _lock_faults(listed.with_suffix(".lock"), _listed(listed), listed.name)
    found += lock_faults(images(root).values(), root)
    return "\n".join(found)


def apart(root: Path = ROOT) -> list[Path]:
    """Lists of programs that share no version with the product, which never installs them: each has a lock of its own."""
    return sorted((root / "requirements").glob("*.in"))


def _listed(requirements: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def pins(lock: Path) -> dict[str, str]:
    """Pinned versions by canonical name."""
    matches = (PIN.match(line) for line in lock.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(match["name"]): match["version"] for match in matches if match}


def _lock_faults(lock: Path, requirements: list[Requirement], source: str = "pyproject.toml") -> list[str]:
    if not lock.exists():
        return [f"{lock.name}: is missing; `make lock` writes it"]
    text = lock.read_text(encoding="utf-8")
    pinned = pins(lock)
    found = [f"{lock.name}: option line {line.strip()!r}" for line in text.splitlines() if OPTION.match(line)]
    found += [f"{lock.name}: {name} has no hash" for name in _without_hash(text)]
    for requirement in requirements:
        version = pinned.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{lock.name}: {requirement.name} of {source} is not pinned; run `make lock`")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{lock.name}: {requirement.name} is pinned to {version}, wanted is {requirement.specifier}")
    return found + [f"{lock.name}: {name} is needed by {by} and not pinned" for name, by in _unpinned_dependencies(pinned)]


def _without_hash(text: str) -> list[str]:
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return [match["name"] for block in blocks if (match := PIN.match(block)) and not HASH.search(block)]


def _unpinned_dependencies(pinned: Mapping[str, str]) -> list[tuple[str, str]]:
    """What installed packages need beyond the lock, as far as they are installed in the pinned version."""
    found = []
    for name, version in pinned.items():
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if installed.version != version:
            continue
        for text in installed.requires or ():
            requirement = Requirement(text)
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if needed and canonicalize_name(requirement.name) not in pinned:
                found.append((requirement.name, name))
    return found


def _differences(runtime: Mapping[str, str], developer: Mapping[str, str]) -> list[str]:
    return [
        f"dev.lock: {name} is {developer.get(name, 'absent')}, runtime.lock has {version}"
        for name, version in runtime.items()
        if developer.get(name) != version
    ]


def write(root: Path = ROOT) -> None:
    """Resolve anew with hashes; no address of an index is written."""
    options = ["--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-header", "--quiet"]
    options += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"]
    of_developers = ["--extra", "dev", "--constraint", "requirements/runtime.lock"]
    sources: list[tuple[str, list[str], str]] = [
        ("runtime", [], "pyproject.toml"),
        ("dev", of_developers, "pyproject.toml"),
        *((listed.stem, [], f"requirements/{listed.name}") for listed in apart(root)),
    ]
    for name, more, source in sources:
        command = [sys.executable, "-m", "piptools", "compile", *options, *more]
        subprocess.run([*command, "--output-file", f"requirements/{name}.lock", source], cwd=root, check=True)
    # What was resolved is not installed yet; an image's lock says who needs whom by what is.
    subprocess.run([sys.executable, str(root / "ops" / "bootstrap.py"), "environment"], cwd=root, check=True)
    write_locks(images(root).values())


@click.command()
@click.option("--write", "anew", is_flag=True, help="Write all locks anew.")
@click.option("--images", "of_images", is_flag=True, help="Write the images' locks anew; asks no registry.")
def main(anew: bool, of_images: bool) -> None:
    """Compare the locks with pyproject.toml and with what the images import."""
    if anew:
        write()
    elif of_images:
        write_locks(images().values())
    found = faults()
    if found:
        raise click.ClickException(found)
    click.echo("The locks fit pyproject.toml.")


if __name__ == "__main__":
    main()
