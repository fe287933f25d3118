"""The images themselves, on a container engine: what they hold, how they run, and that they come out the same again."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from ops.containers import docker
from ops.images import engine, sbom, scan
from ops.images.contents import images
from ops.images.engine import Built, Stamp
from ops.images.selection import pins
from ops.release import assemble, files
from ops.release.cut import Checkout
from ops.release.minisign import SecretKey
from ops.settings import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_800)]

TAG = "images-test"
STAMP = Stamp("9.9.9", "0123abcd", datetime(2026, 11, 26, 18, tzinfo=UTC))
NAMES = list(images())
SERVED = [name for name in NAMES if name != "operator"]
MARKER = "a-planted-secret-that-no-image-may-hold"  # pragma: allowlist secret

INSIDE = """
import importlib, importlib.metadata, json, os, pathlib
root = pathlib.Path("/opt/lumiere")
files = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
found = importlib.metadata.distributions(path=["/opt/venv/lib/python3.12/site-packages"])
distributions = {d.metadata["Name"]: d.version for d in found}
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":\\t" in line)
def writable(place):
    try:
        pathlib.Path(place, "written").write_text("x")
    except OSError:
        return False
    return True
places = ["/", "/etc", "/opt/lumiere", "/opt/venv", "/var/lib/lumiere", "/usr/local/bin"]
rights = [os.getuid(), os.getgid(), int(status["CapEff"], 16), [p for p in places if writable(p)]]
imported, failed = 0, {}
for file in sorted(files):
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if not file.endswith(".py") or name.endswith("__main__") or ".migrations" in name:
        continue
    imported += 1
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
seen = {"files": sorted(files), "distributions": distributions, "rights": rights, "imported": imported, "failed": failed}
print(json.dumps(seen))
"""
"""One look from inside: what is there, what cannot be imported, what may be done."""


class Asked(dict[str, Built]):
    """Images, each built when a test first asks for it."""

    def __missing__(self, name: str) -> Built:
        self[name] = engine.build(name, TAG, STAMP, ROOT)
        return self[name]


@pytest.fixture(scope="module")
def built() -> dict[str, Built]:
    return Asked()


@pytest.mark.parametrize("name", NAMES)
def test_an_image_holds_what_its_code_asks_for_and_no_more_and_runs_as_1001_without_rights(
    built: dict[str, Built], name: str
) -> None:
    seen = json.loads(engine.inside(built[name], "python", "-c", INSIDE).splitlines()[-1])
    assert seen["files"] == sorted(str(file) for file in images()[name].files)
    assert {canonicalize_name(each): version for each, version in seen["distributions"].items()} == pins(images()[name].lock)
    assert (seen["failed"], seen["imported"] > 40) == ({}, True)
    assert seen["rights"] == [1001, 1001, 0, []]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_and_how_its_health_is_asked(built: dict[str, Built], name: str) -> None:
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in built[name].labels.items()}
    assert labels["title"] == f"lumiere-{name}"
    assert (labels["version"], labels["revision"], labels["created"]) == ("9.9.9", "0123abcd", "2026-11-26T18:00:00Z")
    assert labels["licenses"] == "Apache-2.0"
    assert {"source", "description", "vendor", "base.name"} <= labels.keys()
    found = json.loads(docker("image", "inspect", built[name].reference))[0]
    assert found["Created"].startswith("2026-11-26T18:00:00")
    assert found["Config"]["User"] == "1001:1001"
    assert found["Config"]["Healthcheck"]["Test"][0] == ("NONE" if name == "operator" else "CMD")


def test_services_share_the_layer_of_what_they_all_need(built: dict[str, Built]) -> None:
    layers = [set(built[name].layers) for name in NAMES if images()[name].service]
    base = set(json.loads(docker("image", "inspect", "python:3.12-slim-bookworm"))[0]["RootFS"]["Layers"])
    # The account, the shared dependencies, and the empty layer of the working directory.
    assert len(set.intersection(*layers) - base) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_no_layer_holds_a_secret_or_a_way_to_become_root(built: dict[str, Built], name: str) -> None:
    assert scan.scan(built[name]) == []


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as people have them: with secrets lying about in every place that is copied from."""
    root = tmp_path_factory.mktemp("littered") / "checkout"
    shutil.copytree(
        ROOT, root, ignore=shutil.ignore_patterns(".git", ".venv", ".local", "__pycache__", "node_modules", "secrets")
    )
    shutil.copytree(ROOT / "ops", root / "ops", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "services", root / "services", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    places = [".env", ".local/secrets/AUTH_SECRET", "deploy/secrets/AUTH_SECRET", "deploy/.env", "services/tasks/.env"]
    places += [
        "services/tasks/.env.production",
        "services/tasks/server.key",
        "services/tasks/site.pem",
        "services/tasks/prod.env",
    ]
    places += ["services/tasks/tests/secret.json", "libs/common/.netrc", "libs/common/pages/templates/site.key", "ops/.env"]
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(f"SECRET={MARKER}\n", encoding="utf-8")
    return root


def test_secrets_that_lie_about_in_a_checkout_reach_no_layer(littered: Path, built: dict[str, Built]) -> None:
    made = engine.build("tasks", f"{TAG}-littered", STAMP, littered)
    try:
        assert scan.scan(made, [MARKER.encode()]) == []
        assert made.layers == built["tasks"].layers
    finally:
        docker("image", "rm", made.reference)


def test_a_secret_that_was_copied_and_removed_again_is_found(built: dict[str, Built], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SECRET={MARKER}\n")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {built['tasks'].reference}\nCOPY .env /tmp/settings\nUSER root\nRUN rm /tmp/settings\n"
    )
    docker("build", "--quiet", "--tag", engine.reference("planted", TAG), str(tmp_path))
    made = engine.inspect("planted", TAG)
    try:
        assert [(each.path, each.what) for each in scan.scan(made, [MARKER.encode()])] == [
            ("tmp/settings", "the value of a secret")
        ]
    finally:
        docker("image", "rm", made.reference)


def test_a_build_from_nothing_gives_the_same_image(built: dict[str, Built]) -> None:
    # The gateway's has every kind of layer: of the system, of Python, of ours.
    again = engine.build("gateway", f"{TAG}-again", STAMP, ROOT, fresh=True)
    try:
        assert again.layers == built["gateway"].layers
        assert again.identity == built["gateway"].identity
    finally:
        docker("image", "rm", again.reference)


@pytest.mark.parametrize("name", ["tasks", "gateway"])
def test_a_bill_of_materials_names_what_the_image_holds_and_comes_out_the_same_twice(
    built: dict[str, Built], name: str
) -> None:
    texts = {sbom.bill(images()[name], built[name], sbom.inventory(built[name])) for _ in range(2)}
    assert len(texts) == 1
    components = json.loads(texts.pop())["components"]
    locked = {f"pkg:pypi/{each}@{version}" for each, version in pins(images()[name].lock).items()}
    assert {each["purl"] for each in components if each["purl"].startswith("pkg:pypi/")} == locked
    system = {each["name"] for each in components if each["purl"].startswith("pkg:deb/")}
    assert "libc6" in system
    assert ("haproxy" in system) == (name == "gateway")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    """This repository as it is committed, to cut a release from."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    Checkout(ROOT).git("clone", "--quiet", "--no-hardlinks", ".", str(tmp_path / "clone"))
    made = Checkout(tmp_path / "clone")
    made.git("switch", "--quiet", "--force-create", "main")
    yield made
    for name in NAMES:
        subprocess.run(["docker", "image", "rm", engine.reference(name, "9.9.10")], capture_output=True, check=False)  # noqa: S607


def test_a_release_is_cut_built_signed_and_verified_against_the_engine(clone: Checkout, tmp_path: Path) -> None:
    plan = clone.plan("9.9.10")
    clone.cut(plan, date(2026, 11, 26))
    key, folder = SecretKey.generate(), tmp_path / "release"
    built = assemble.assemble(clone, plan.tag, folder, key, lambda _: None)
    assert {each.name for each in built} == set(NAMES)
    assert {path.name for path in folder.iterdir()} == {
        *(files.bill_of(name) for name in NAMES),
        *(files.IMAGES, files.NOTES, files.SUMS, files.SIGNATURE),
    }
    assert all(each.ok for each in files.verify(folder, key.public))
    rows = files.images_of(folder)
    assert all(assemble.compared(each, "9.9.10").ok for each in rows)
    assert all(
        each.labels["org.opencontainers.image.revision"] == clone.git("rev-parse", plan.tag + "^{commit}") for each in built
    )
    assert not assemble.compared({**rows[0], "digest": "sha256:0", "layers": []}, "9.9.10").ok
    (folder / files.IMAGES).write_text((folder / files.IMAGES).read_text().replace("sha256:", "sha256:0", 1))
    assert [each.name for each in files.verify(folder, key.public) if not each.ok] == [files.IMAGES]
