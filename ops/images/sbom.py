"""`python -m ops.images.sbom NAME TAG [--root FOLDER]`: the bill of materials of a built image, CycloneDX 1.6 in JSON.

What the image holds is asked of the image itself; who needs whom of the lock. The same image gives the same document, byte for
byte: its serial number follows from the image's digest, its time from the commit.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from ops.images.contents import ROOT, Image, images
from ops.images.engine import Built, inside, inspect
from ops.images.needs import needed

CREATED: Final = "org.opencontainers.image.created"
VERSION: Final = "org.opencontainers.image.version"
INVENTORY: Final = """
import importlib.metadata, json, platform, subprocess
def licence(found):
    return found.get("License-Expression") or next((c.rpartition(" :: ")[2] for c in found.get_all("Classifier") or ()
        if c.startswith("License :: ")), None) or (found.get("License") or "").strip().partition(chr(10))[0] or None
distributions = [{"name": d.metadata["Name"], "version": d.version, "licence": licence(d.metadata)}
                 for d in importlib.metadata.distributions(path=["/opt/venv/lib/python3.12/site-packages"])]
form = "${Package} ${Version} ${Architecture}\\n"
said = subprocess.run(["dpkg-query", "--show", "--showformat", form], capture_output=True, text=True, check=True).stdout
packages = [dict(zip(("name", "version", "architecture"), line.split(), strict=True)) for line in said.splitlines()]
system = platform.freedesktop_os_release()
print(json.dumps({"python": platform.python_version(), "distributions": distributions, "packages": packages,
                  "system": {"id": system["ID"], "version": system["VERSION_ID"]}}))
"""
"""Runs inside the image."""


def inventory(built: Built) -> dict[str, Any]:
    """What the image holds: distributions of Python, packages of the system. Raises OperationError."""
    found: dict[str, Any] = json.loads(inside(built, "python", "-c", INVENTORY))
    return found


def bill(image: Image, built: Built, held: Mapping[str, Any]) -> str:
    """The document."""
    document = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, built.identity))
    document.metadata.timestamp = datetime.fromisoformat(built.labels[CREATED])
    root = _root(image, built)
    document.metadata.component = root
    components = {
        each["name"].lower().replace("_", "-").replace(".", "-"): _distribution(each) for each in held["distributions"]
    }
    for each in components.values():
        document.components.add(each)
    asked = needed(image)
    document.register_dependency(root, [components[name] for name, each in asked.items() if image.name in each.by])
    for name, component in components.items():
        document.register_dependency(component, [components[other] for other, each in asked.items() if name in each.by])
    beneath = [_python(held["python"]), *(_package(each, held["system"]) for each in held["packages"])]
    for each in beneath:
        document.components.add(each)
    return JsonV1Dot6(document).output_as_string(indent=2) + "\n"


def _root(image: Image, built: Built) -> Component:
    digest = built.identity.removeprefix("sha256:")
    return Component(
        type=ComponentType.CONTAINER,
        name=built.reference.rpartition(":")[0],
        version=built.labels[VERSION],
        bom_ref=f"image:{image.name}",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        properties=[Property(name=f"lumiere:layer:{number}", value=layer) for number, layer in enumerate(built.layers)],
    )


def _distribution(found: Mapping[str, Any]) -> Component:
    address = PackageURL("pypi", name=canonicalize_name(found["name"]), version=found["version"])
    stated = LicenseFactory().make_from_string(
        found["licence"] or "unknown", license_acknowledgement=LicenseAcknowledgement.DECLARED
    )
    return _library(found["name"], found["version"], address, licenses=[stated])


def _python(version: str) -> Component:
    return _library("python", version, PackageURL("generic", name="python", version=version))


def _package(found: Mapping[str, str], system: Mapping[str, str]) -> Component:
    qualifiers = {"arch": found["architecture"], "distro": f"{system['id']}-{system['version']}"}
    address = PackageURL("deb", system["id"], found["name"], found["version"], qualifiers=qualifiers)
    return _library(found["name"], found["version"], address)


def _library(name: str, version: str, address: PackageURL, **more: Any) -> Component:
    return Component(type=ComponentType.LIBRARY, name=name, version=version, purl=address, bom_ref=str(address), **more)


@click.command()
@click.argument("name")
@click.argument("tag")
@click.option("--root", type=click.Path(exists=True, file_okay=False, path_type=Path), default=ROOT, help="The checkout.")
def main(name: str, tag: str, root: Path) -> None:
    """Write the bill of materials of lumiere/NAME:TAG on standard output."""
    built = inspect(name, tag)
    click.echo(bill(images(root)[name], built, inventory(built)), nl=False)


if __name__ == "__main__":
    main()
