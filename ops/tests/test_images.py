"""What each image holds follows from the imports. Shown on the repository as it is, and by planted violations."""

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops.images import gather, needs, sbom, scan, selection
from ops.images.contents import Image, images
from ops.images.engine import Built, stamp_of
from ops.images.reach import reach
from ops.settings import ROOT

KNOWN = images()
SERVICES = [name for name, image in KNOWN.items() if image.service]
DECLARED = "operator"
"""`lumiere doctor` compares a platform with what the services declare as code, so its image holds what they import."""


def _pins(name: str) -> dict[str, str]:
    return selection.pins(KNOWN[name].lock)


@pytest.mark.parametrize(
    ("distribution", "holders"),
    [
        ("zxcvbn", {"auth", DECLARED}),
        ("bcrypt", {"auth", DECLARED}),
        ("webauthn", {"auth", DECLARED}),
        ("redis", {"auth", DECLARED}),
        ("stripe", {"payments", DECLARED}),
        ("puremagic", {"media", DECLARED}),
        ("boto3", {"media", DECLARED}),
        ("psycogreen", {"notify"}),
        ("gevent", {"notify", "gateway"}),
        ("flask-swagger-ui", {"gateway"}),
        ("supervisor", {"operator"}),
        ("rich", {"operator"}),
        ("sqlalchemy", {*SERVICES, "operator"}),
    ],
)
def test_a_library_is_in_the_images_that_use_it_and_in_no_other(distribution: str, holders: set[str]) -> None:
    assert {name for name in KNOWN if distribution in _pins(name)} == holders


def test_every_dependency_is_in_some_image() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    held = {name for each in KNOWN for name in _pins(each)}
    assert names - held <= {"setuptools"}  # supervisor needs it for plugins that nobody here has


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_holds_nothing_of_another_but_the_events_that_it_listens_to(name: str) -> None:
    others = {file for file in KNOWN[name].files if file.parts[0] == "services" and file.parts[1] not in (name, "__init__.py")}
    assert {file.name for file in others} <= {"__init__.py", "events.py"}
    heard = {file.parts[1] for file in others}
    listens = {"tasks": {"media"}, "payments": {"tasks"}, "media": {"tasks"}, "notify": {"auth", "payments", "tasks"}}
    assert heard == listens.get(name, set())
    assert not [file for file in KNOWN[name].files if file.parts[0] in ("ops", "gateway") or "tests" in file.parts]


def test_the_gateway_holds_every_policy_and_no_service() -> None:
    files = [file for file in KNOWN["gateway"].files if file.parts[0] == "services"]
    assert {file.suffix for file in files} == {".json"}
    assert {file.parts[1] for file in files if file.name == "policy.json"} == set(SERVICES)


def test_the_operator_holds_what_the_services_code_reads() -> None:
    held = set(images()["operator"].files)

    for image in (images()[name] for name in SERVICES):
        read = {path for path in image.files if path.suffix != ".py" and path.parent / "__init__.py" in held}
        assert read <= held


def test_no_image_holds_test_support() -> None:
    held = {file for image in KNOWN.values() for file in image.files}
    assert not [file for file in held if file.parts[:3] == ("libs", "common", "testing")]


SHOP = """
from typing import TYPE_CHECKING
from libs.common import till
if TYPE_CHECKING:
    import mypy
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A repository of one service and the kernel that it needs."""
    files = {
        "services/__init__.py": "",
        "services/shop/__init__.py": "",
        "services/shop/app.py": SHOP,
        "services/shop/policy.json": json.dumps({"processes": ["web"]}),
        "services/shop/tests/test_app.py": "import pytest\n",
        "services/bank/__init__.py": "",
        "services/bank/events.py": "",
        "libs/common/__init__.py": "",
        "libs/common/till.py": "def open():\n    import stripe\n",
        "libs/common/unused.py": "import zxcvbn\n",
        "requirements/runtime.lock": (ROOT / "requirements" / "runtime.lock").read_text(),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _shop(root: Path) -> Image:
    return images(root)["shop"]


def test_what_is_imported_late_counts_and_what_is_for_types_only_does_not(planted: Path) -> None:
    assert _shop(planted).reach.outside == {"stripe"}
    assert Path("libs/common/unused.py") not in _shop(planted).files


def test_an_import_that_nobody_locked_is_a_fault_until_the_lock_is_written(planted: Path) -> None:
    (planted / "services/shop/app.py").write_text("import httpx\n")
    needs.write_locks([_shop(planted)])
    assert needs.lock_faults([_shop(planted)], planted) == []
    (planted / "services/shop/app.py").write_text("import httpx, zxcvbn\n")
    assert "is not what the image imports" in needs.lock_faults([_shop(planted)], planted)[0]
    needs.write_locks([_shop(planted)])
    assert "zxcvbn" in selection.pins(_shop(planted).lock)


def test_a_lock_with_more_than_the_image_imports_is_a_fault(planted: Path) -> None:
    needs.write_locks([_shop(planted)])
    with _shop(planted).lock.open("a") as lock:
        lock.write("zxcvbn==4.5.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert "is not what the image imports" in needs.lock_faults([_shop(planted)], planted)[0]


def test_a_dependency_that_the_runtime_lock_lacks_is_named(planted: Path) -> None:
    (planted / "requirements/runtime.lock").write_text("")
    assert "and not in runtime.lock; run `make lock`" in needs.lock_faults([_shop(planted)], planted)[0]


def test_an_import_that_nothing_provides_is_named(planted: Path) -> None:
    (planted / "services/shop/app.py").write_text("import nobody_has_this\n")
    assert "imports nobody_has_this, which nothing installed here provides" in needs.lock_faults([_shop(planted)], planted)[0]


def test_an_import_of_ours_without_a_file_is_refused(planted: Path) -> None:
    (planted / "services/shop/app.py").write_text("import libs.common.gone.away\n")
    with pytest.raises(LookupError, match=r"libs\.common\.gone"):
        reach(planted, ["services.shop.app"])


def test_a_relative_import_is_refused(planted: Path) -> None:
    (planted / "services/shop/app.py").write_text("from . import events\n")
    with pytest.raises(LookupError, match="write the whole name"):
        reach(planted, ["services.shop.app"])


def test_what_is_gathered_is_readable_by_all_and_writable_by_its_owner(planted: Path, tmp_path: Path) -> None:
    target = tmp_path / "gathered"
    (planted / "libs/common/till.py").chmod(0o600)
    assert gather.gather("shop", target, planted) == len(_shop(planted).files)
    assert (target / "libs/common/till.py").stat().st_mode & 0o777 == 0o644
    assert not (target / "services/bank").exists()
    assert not (target / "services/shop/tests").exists()


def test_an_image_that_is_none_is_refused_with_the_names_of_all(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert gather.main(["nobody", str(tmp_path)]) == 2
    assert "auth, ledger, media, notify, payments, tasks, gateway, operator" in capsys.readouterr().err
    assert gather.main([]) == 2
    assert selection.main(["nobody", str(tmp_path), str(tmp_path)]) == 2
    assert selection.main([]) == 2


def _installed(folder: Path, name: str, version: str) -> None:
    package, described = folder / name, folder / f"{name}-{version}.dist-info"
    for place in (package, package / "tests", package / "__pycache__", described):
        place.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tests" / "server.key").write_text("key")
    (package / "__pycache__" / f"__init__.{sys.implementation.cache_tag}.pyc").write_bytes(b"compiled")
    (described / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    listed = [f"{name}/__init__.py", f"{name}/tests/server.key", f"{described.name}/METADATA", "../../bin/tool"]
    (described / "RECORD").write_text("".join(f"{each},,\n" for each in listed))


def test_an_image_gets_its_part_of_what_is_installed_without_tests_and_programs(planted: Path, tmp_path: Path) -> None:
    installed, target = tmp_path / "site", tmp_path / "out"
    _installed(installed, "alpha", "1.0")
    _installed(installed, "beta", "2.0")
    _shop(planted).lock.parent.mkdir(parents=True)
    _shop(planted).lock.write_text("alpha==1.0 \\\n    --hash=sha256:00\n")
    assert selection.select("shop", installed, target, planted) == {"shared": 1, "own": 0}
    copied = {
        str(path.relative_to(target / "shared" / installed.relative_to("/"))) for path in target.rglob("*") if path.is_file()
    }
    assert copied == {
        "alpha/__init__.py",
        f"alpha/__pycache__/__init__.{sys.implementation.cache_tag}.pyc",
        "alpha-1.0.dist-info/METADATA",
    }


@pytest.mark.parametrize("locked", ["alpha==1.1", "gamma==1.0"])
def test_what_is_installed_in_another_version_is_refused(planted: Path, tmp_path: Path, locked: str) -> None:
    _installed(tmp_path / "site", "alpha", "1.0")
    _shop(planted).lock.parent.mkdir(parents=True)
    _shop(planted).lock.write_text(f"{locked}\n")
    with pytest.raises(selection.Mismatch, match="run `make lock`"):
        selection.select("shop", tmp_path / "site", tmp_path / "out", planted)


def test_hadolint_finds_the_dockerfile_clean_and_a_planted_fault(tmp_path: Path) -> None:
    hadolint = str(Path(sys.executable).parent / "hadolint")
    assert subprocess.run([hadolint, str(ROOT / "deploy" / "Dockerfile")], check=False).returncode == 0
    planted = tmp_path / "Dockerfile"
    planted.write_text("FROM python:latest\nRUN cd /tmp && sudo true\n")
    said = subprocess.run([hadolint, str(planted)], capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "DL3007" in said.stdout
    assert "DL3004" in said.stdout


def _layer(*members: tuple[str, bytes, int]) -> io.BytesIO:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content, mode in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    written.seek(0)
    return written


PEM = b"-----BEGIN PRIVATE " + b"KEY-----\n" + b"MC4CAQAwBQYDK2VwBCIEI" * 4 + b"\n-----END"


@pytest.mark.parametrize(
    ("name", "content", "mode", "what"),
    [
        ("app/.env", b"", 0o644, "a file that secrets stand in"),
        ("app/.env.production", b"", 0o644, "a file that secrets stand in"),
        ("opt/lumiere/deploy/secrets/AUTH_SECRET", b"x", 0o644, "a file that secrets stand in"),
        ("run/secrets/AUTH_SECRET", b"x", 0o644, "a file that secrets stand in"),
        ("app/server.key", b"", 0o644, "a file that secrets stand in"),
        ("app/notes.txt", PEM, 0o644, "a private key"),
        ("app/settings.py", b"said = 'correct horse'", 0o644, "the value of a secret"),
        ("usr/bin/tool", b"", 0o4755, "runs with the rights of its owner or group"),
    ],
)
def test_what_must_not_be_in_a_layer_is_found(name: str, content: bytes, mode: int, what: str) -> None:
    found = scan.in_layers([("one", _layer((name, content, mode)))], [b"correct horse"])
    assert [(each.path, each.what) for each in found] == [(name, what)]


def test_a_secret_that_a_later_layer_removes_is_found_and_a_right_that_it_takes_away_is_not() -> None:
    first = _layer(("app/.env", b"", 0o644), ("usr/bin/su", b"", 0o4755))
    second = _layer(("app/.wh..env", b"", 0o644), ("./usr/bin/su", b"", 0o755))
    found = scan.in_layers([("one", first), ("two", second)])
    assert [(each.layer, each.path) for each in found] == [("one", "app/.env")]


def test_public_certificates_and_keys_for_self_tests_of_libraries_are_no_findings() -> None:
    harmless = _layer(
        ("certifi/cacert.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n", 0o644), ("libtls.so", b"\x7fELF" + PEM, 0o644)
    )
    assert scan.in_layers([("one", harmless)], [b"short"]) == []


LABELS = {sbom.CREATED: "2026-11-26T18:00:00Z", sbom.VERSION: "1.2.3"}
BUILT = Built("tasks", "1.2.3", f"sha256:{'a' * 64}", ("sha256:b",), 1, LABELS)


def _held() -> dict[str, object]:
    distributions = [{"name": name, "version": version, "licence": "MIT"} for name, version in _pins("tasks").items()]
    package = {"name": "libc6", "version": "2.36-9", "architecture": "amd64"}
    return {
        "python": "3.12.1",
        "distributions": distributions,
        "packages": [package],
        "system": {"id": "debian", "version": "12"},
    }


def test_a_bill_of_materials_is_valid_names_everything_and_comes_out_the_same_twice() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sbom.bill(KNOWN["tasks"], BUILT, _held())
    assert sbom.bill(KNOWN["tasks"], BUILT, _held()) == text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    addresses = {each.get("purl") for each in document["components"]}
    assert {f"pkg:pypi/{name}@{version}" for name, version in _pins("tasks").items()} <= addresses
    assert "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12" in addresses
    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    needed_by_flask = next(each for each in document["dependencies"] if each["ref"].startswith("pkg:pypi/flask@"))
    assert any(each.startswith("pkg:pypi/werkzeug@") for each in needed_by_flask["dependsOn"])


def test_a_stamp_names_the_commit_and_says_when_the_checkout_differs_from_it(tmp_path: Path) -> None:
    assert stamp_of(tmp_path, "1.0.0").revision == "unknown"
    git = [str(shutil.which("git")), "-C", str(tmp_path), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "One", "--date=@0"]):
        subprocess.run([*git, *words], check=True)
    clean = stamp_of(tmp_path, "1.0.0")
    assert len(clean.revision) == 40
    assert clean.moment <= datetime.now(UTC)
    (tmp_path / "file").write_text("two")
    assert stamp_of(tmp_path, "1.0.0").revision == f"{clean.revision}-changed"
