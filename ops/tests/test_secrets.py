"""Sealed secrets: readable diffs, bound to their place, and refused wherever they were moved."""

import json
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import CliRunner, Result

from ops.age import Damaged, WrongKey, new_identity, recipients_of
from ops.cli import main
from ops.errors import OperationError
from ops.secrets import checking, editing, register
from ops.secrets.sealed import VALUE_BYTES_MAX, SealedFile, fingerprint, require_value, sealed_path
from ops.vault import Vault

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


class Keyring:
    """Somebody with a key pair."""

    def __init__(self, folder: Path, name: str) -> None:
        self.private, self.public = new_identity()
        self.path = folder / name
        self.path.write_text(self.private, encoding="ascii")
        self.identities = [pyrage.x25519.Identity.from_str(self.private)]


@pytest.fixture
def ada(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path, "ada")


@pytest.fixture
def ben(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path, "ben")


@pytest.fixture
def sealed(tmp_path: Path, ada: Keyring) -> SealedFile:
    file = SealedFile.create(tmp_path / "sealed" / "production.yaml", "production", [ada.public])
    file.seal({"AUTH_SECRET": "first value of it", "CRON_SECRET": "second value\nof two lines"}, NOW)
    return file


def lines(file: SealedFile) -> dict[str, str]:
    found = (line.strip().partition(": ") for line in file.path.read_text(encoding="utf-8").splitlines())
    return {name: value for name, _, value in found if name.isupper()}


def run(*arguments: object, given: str | None = None, **environ: str) -> Result:
    return CliRunner().invoke(main, ["secrets", *map(str, arguments)], input=given, env=environ)


def test_what_was_sealed_comes_back_and_nothing_of_it_can_be_read(sealed: SealedFile, ada: Keyring) -> None:
    again = SealedFile(sealed.path)

    assert again.unseal(ada.identities) == {"AUTH_SECRET": "first value of it", "CRON_SECRET": "second value\nof two lines"}
    assert "value" not in sealed.path.read_text(encoding="utf-8").replace("values", "")


def test_only_the_line_of_a_changed_secret_changes(sealed: SealedFile) -> None:
    before = lines(sealed)

    SealedFile(sealed.path).seal({"AUTH_SECRET": "another value"}, NOW)

    after = lines(SealedFile(sealed.path))
    assert after["CRON_SECRET"] == before["CRON_SECRET"]
    assert after["AUTH_SECRET"] != before["AUTH_SECRET"]


def test_a_value_under_another_name_is_refused(sealed: SealedFile, ada: Keyring) -> None:
    text = sealed.path.read_text(encoding="utf-8")
    found = lines(sealed)
    sealed.path.write_text(text.replace(found["CRON_SECRET"], found["AUTH_SECRET"]), encoding="utf-8")

    with pytest.raises(Damaged, match="CRON_SECRET of production was sealed as AUTH_SECRET of production: somebody moved it"):
        SealedFile(sealed.path).unseal(ada.identities)


def test_a_value_in_another_environment_is_refused(sealed: SealedFile, ada: Keyring) -> None:
    staging = sealed.path.with_name("staging.yaml")
    staging.write_text(sealed.path.read_text(encoding="utf-8").replace("environment: production", "environment: staging"))

    with pytest.raises(Damaged, match="sealed as AUTH_SECRET of production"):
        SealedFile(staging).unseal(ada.identities)


def test_a_whole_file_in_the_place_of_another_environments_is_refused(sealed: SealedFile, ada: Keyring, tmp_path: Path) -> None:
    folder = sealed.path.parent
    sealed_path("staging", folder).write_text(sealed.path.read_text(encoding="utf-8"), encoding="utf-8")

    done = run("unseal", "staging", "--into", tmp_path / "opened", "--identity", ada.path, "--sealed", folder)

    assert done.exit_code == 1
    assert "staging.yaml holds the secrets of production" in " ".join(done.output.split())
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/cron.d/outside", ".profile"])
def test_a_name_that_leads_out_of_the_folder_is_refused(sealed: SealedFile, ada: Keyring, tmp_path: Path, name: str) -> None:
    sealed._secrets[name] = sealed._sealed(name, "whoever may commit can seal this", recipients_of(ada.public))
    sealed._save()

    done = run("unseal", "production", "--into", tmp_path / "opened", "--identity", ada.path, "--sealed", sealed.path.parent)

    assert done.exit_code == 1
    assert "no name of a secret" in done.output
    assert not (tmp_path / "opened").exists()


def test_a_damaged_value_is_named(sealed: SealedFile, ada: Keyring) -> None:
    text = sealed.path.read_text(encoding="utf-8")
    sealed.path.write_text(text.replace(lines(sealed)["CRON_SECRET"], "bm90IGFnZQ=="), encoding="utf-8")

    with pytest.raises(Damaged):
        SealedFile(sealed.path).unseal(ada.identities)


def test_who_is_no_recipient_opens_nothing(sealed: SealedFile, ben: Keyring) -> None:
    with pytest.raises(WrongKey):
        sealed.unseal(ben.identities)


def test_who_joins_can_open_them_and_who_left_cannot(sealed: SealedFile, ada: Keyring, ben: Keyring) -> None:
    folder = sealed.path.parent
    assert run("rekey", "production", "--add", ben.public, "--identity", ada.path, "--sealed", folder).exit_code == 0
    assert SealedFile(sealed.path).unseal(ben.identities)["AUTH_SECRET"] == "first value of it"

    done = run("rekey", "production", "--remove", ada.public, "--identity", ben.path, "--sealed", folder)

    assert "rotate the secrets themselves" in done.output
    with pytest.raises(WrongKey):
        SealedFile(sealed.path).unseal(ada.identities)
    last = run("rekey", "production", "--remove", ben.public, "--identity", ben.path, "--sealed", folder)
    assert last.exit_code == 1
    assert SealedFile(sealed.path).current


def test_a_recipient_who_was_written_in_by_hand_is_noticed(sealed: SealedFile, ada: Keyring, ben: Keyring) -> None:
    assert sealed.current
    text = sealed.path.read_text(encoding="utf-8")
    sealed.path.write_text(text.replace(f"- {ada.public}", f"- {ada.public}\n- {ben.public}"), encoding="utf-8")

    found = checking.check([SealedFile(sealed.path)], {}, NOW)

    assert [(each.name, each.problem) for each in found] == [("*", "recipients")]


def test_secrets_are_opened_into_files_for_this_user_alone(sealed: SealedFile, ada: Keyring, tmp_path: Path) -> None:
    into = tmp_path / "open"
    done = run("unseal", "production", "--into", into, "--identity", ada.path, "--sealed", sealed.path.parent)

    assert done.exit_code == 0, done.output
    assert "value" not in done.output
    assert (into / "AUTH_SECRET").read_text() == "first value of it"
    assert stat.S_IMODE((into / "AUTH_SECRET").stat().st_mode) == 0o600
    assert stat.S_IMODE(into.stat().st_mode) == 0o700
    assert register.read(into) == {"AUTH_SECRET": NOW, "CRON_SECRET": NOW}, "opened today, set when it was sealed"


def test_an_editor_changes_what_it_changes_and_leaves_no_trace(sealed: SealedFile, ada: Keyring, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\n"
        f'echo "$1 $(stat -c %a "$1") $(stat -f -c %T "$1")" > {seen}\n'
        'sed -i "s/first value/newer value/; /^CRON_SECRET/,\\$d" "$1"\n'
        'echo "SENTRY_DSN: https://errors.example.org/1" >> "$1"\n',
        encoding="utf-8",
    )
    editor.chmod(0o700)

    done = run(
        "edit", "production", "--identity", ada.path, "--sealed", sealed.path.parent, "--json", EDITOR=str(editor), VISUAL=""
    )

    assert json.loads(done.output) == {"changed": ["AUTH_SECRET", "SENTRY_DSN"], "removed": ["CRON_SECRET"]}
    path, mode, kind = seen.read_text(encoding="utf-8").split()
    assert (mode, kind) == ("600", "tmpfs")
    assert not Path(path).parent.exists()
    assert SealedFile(sealed.path).unseal(ada.identities)["AUTH_SECRET"] == "newer value of it"
    assert "CRON_SECRET" not in register.read(sealed.path)


@pytest.mark.parametrize("script", ["exit 1", "echo 'no: [yaml' > $1", "echo 'NUMBER: 12' > $1", "echo '- a list' > $1"])
def test_an_editor_that_fails_changes_nothing(sealed: SealedFile, ada: Keyring, tmp_path: Path, script: str) -> None:
    before = sealed.path.read_bytes()
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    editor.chmod(0o700)

    done = run("edit", "production", "--identity", ada.path, "--sealed", sealed.path.parent, EDITOR=str(editor), VISUAL="")

    assert done.exit_code == 1
    assert sealed.path.read_bytes() == before


def left_in_memory() -> set[Path]:
    return {each for base in editing.MEMORY if base.is_dir() for each in base.glob("lumiere-*")}


@pytest.mark.parametrize(
    "leaves", ["ln -s nobody@nowhere.1 $(dirname $1)/.#secrets.yaml", "mkdir $(dirname $1)/undo && cp $1 $(dirname $1)/undo/"]
)
def test_nothing_that_an_editor_leaves_beside_the_secrets_stays(tmp_path: Path, leaves: str) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\n{leaves}\n", encoding="utf-8")
    editor.chmod(0o700)
    before = left_in_memory()

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VISUAL", str(editor))
        assert editing.edited({"AUTH_SECRET": "the value itself"}) == {"AUTH_SECRET": "the value itself"}

    assert left_in_memory() == before


@pytest.mark.parametrize("number", editing.ENDING)
def test_a_terminal_that_closes_leaves_no_open_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\nkill -{int(number)} $PPID\n", encoding="utf-8")
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    before, handled = left_in_memory(), signal.getsignal(number)

    with pytest.raises(SystemExit):
        editing.edited({"AUTH_SECRET": "the value itself"})

    assert left_in_memory() == before
    assert signal.getsignal(number) is handled


def test_values_of_every_kind_survive_the_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "true")
    values = {"A": "plain", "B": "two\nlines\n", "C": "#: {yaml} 'quotes\"", "D": "0123", "E": " spaces ", "F": "x" * 5_000}

    assert editing.edited(values) == values


def test_a_whole_folder_is_sealed_at_once(ada: Keyring, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "secrets")
    vault.ensure("AUTH_SECRET")
    vault.write("OIDC_PROVIDERS", "")
    folder = tmp_path / "sealed"

    done = run("seal", "staging", "--from", vault.folder, "--recipient", ada.public, "--sealed", folder)

    assert done.exit_code == 0, done.output
    assert SealedFile(sealed_path("staging", folder)).unseal(ada.identities) == {"AUTH_SECRET": vault.ensure("AUTH_SECRET")}


def test_a_value_comes_from_standard_input(ada: Keyring, tmp_path: Path) -> None:
    refused = run("seal", "staging", "AUTH_SECRET", "--sealed", tmp_path, given="k" * 40)
    assert "--recipient" in refused.output

    done = run("seal", "staging", "AUTH_SECRET", "--recipient", ada.public, "--sealed", tmp_path, given="the value itself\n")

    assert done.exit_code == 0
    assert "the value" not in done.output
    assert SealedFile(tmp_path / "staging.yaml").unseal(ada.identities) == {"AUTH_SECRET": "the value itself"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lower", "value"),
        ("AUTH_SECRET", ""),
        ("AUTH_SECRET", "change-me"),
        ("A" * 65, "a value"),
        ("BIG", ("lm" * VALUE_BYTES_MAX)[: VALUE_BYTES_MAX + 1]),
    ],
)
def test_what_cannot_be_a_secret_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(OperationError) as caught:
        require_value(name, value)

    assert not value or value not in str(caught.value)


@pytest.mark.parametrize("size", [2, VALUE_BYTES_MAX - 1, VALUE_BYTES_MAX])
def test_a_secret_may_be_as_long_as_the_limit(size: int) -> None:
    require_value("BIG", ("lm" * size)[:size])


# ---- their age


def problems(*arguments: Any) -> list[tuple[str, str, str]]:
    return [(each.place, each.name, each.problem) for each in checking.check(*arguments)]


@pytest.mark.parametrize(("days", "found"), [(89, []), (90, []), (91, ["AUTH_SECRET", "CRON_SECRET"])])
def test_a_sealed_secret_is_old_after_ninety_days(sealed: SealedFile, days: int, found: list[str]) -> None:
    assert problems([sealed], {}, NOW + timedelta(days=days)) == [("production", name, "old") for name in found]


def test_a_value_that_two_environments_share_is_found_without_opening_it(sealed: SealedFile, ada: Keyring) -> None:
    staging = SealedFile.create(sealed.path.with_name("staging.yaml"), "staging", [ada.public])
    staging.seal({"STORAGE_SECRET": "first value of it", "AUTH_SECRET": "its own"}, NOW)

    assert problems([sealed, staging], {}, NOW) == [("staging", "STORAGE_SECRET", "equal")]


def test_a_register_does_not_tell_the_value(sealed: SealedFile) -> None:
    text = register.register_path(sealed.path).read_text(encoding="utf-8")

    assert "first value" not in text
    assert fingerprint("first value of it") in text
    assert fingerprint("first value of i") not in text


def test_the_vault_remembers_when_a_secret_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "secrets")
    monkeypatch.setattr("ops.vault.clock.now", lambda: NOW)
    vault.ensure("AUTH_SECRET")
    vault.write("DATABASE_URL_TASKS", "postgresql://lumiere_tasks:one@127.0.0.1:1/lumiere")
    vault.write("LOG_LEVEL", "debug")
    monkeypatch.setattr("ops.vault.clock.now", lambda: NOW + timedelta(days=80))
    vault.write("DATABASE_URL_TASKS", "postgresql://lumiere_tasks:one@127.0.0.1:2/lumiere")

    later = NOW + timedelta(days=95)
    assert register.read(vault.folder)["DATABASE_URL_TASKS"] == NOW, "the port changed, the password did not"
    assert problems([], {"local": vault.folder}, later) == [
        ("local", "AUTH_SECRET", "old"),
        ("local", "DATABASE_URL_TASKS", "old"),
    ], "what is no secret grows no older"
    vault.write("DATABASE_URL_TASKS", "postgresql://lumiere_tasks:two@127.0.0.1:2/lumiere")
    assert problems([], {"local": vault.folder}, later) == [("local", "AUTH_SECRET", "old")]


def test_a_secret_of_unknown_age_fails_until_somebody_says_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folder = home / "secrets"
    folder.mkdir(parents=True)
    (folder / "AUTH_SECRET").write_text("k" * 40, encoding="ascii")
    (folder / "LOG_SIGNING_KEY").write_text("kept for good", encoding="ascii")
    environ = {"LUMIERE_HOME": str(home)}

    done = run("check", "--json", "--sealed", tmp_path, **environ)
    found = [each for each in json.loads(done.output)["findings"] if each["place"] == "local"]
    assert [(each["name"], each["problem"]) for each in found] == [("AUTH_SECRET", "unknown")]
    assert done.exit_code == 1

    assert run("note", "local", "AUTH_SECRET", "--on", "2026-11-20", **environ).exit_code == 0
    assert register.read(folder) == {"AUTH_SECRET": datetime(2026, 11, 20, tzinfo=UTC)}
    assert run("note", "local", "AUTH_SECRET", "--on", "2999-01-01", **environ).exit_code == 1


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    done = run("key", path)
    assert done.output.startswith("age1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert run("key", path).exit_code == 1
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run("key", tmp_path / "link").exit_code == 1
    assert not (tmp_path / "elsewhere").exists()
