"""The job of deploy/backup.yml backs the platform in containers up, and holds nothing that opens what it made."""

import json
import os
from pathlib import Path

import pytest

from ops.age import decrypted, identities_of, new_identity
from ops.backup import archive, record
from ops.containers import DEMO, Containers
from tests.containers.conftest import PROJECT, Running
from tests.journeys.people import Film, Person, Studio

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
CONTAINER_USER = 1001


def test_the_job_backs_up_what_people_did(
    running: Running, variables: dict[str, str], people: Studio, contributor: Person, film: Film, tmp_path: Path
) -> None:
    task = people.plan_task(film, "Before the backup in containers")
    people.finish(contributor, task)
    people.wait_for_effects(contributor, task)
    private, public = new_identity()
    (tmp_path / "key").write_text(private, encoding="ascii")
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    (folder / "recipients.txt").write_text(f"{public}\n", encoding="ascii")
    for each in (folder, folder / "recipients.txt"):
        os.chown(each, CONTAINER_USER, CONTAINER_USER)
    named = variables | {"LUMIERE_BACKUP_FOLDER": str(folder)}
    containers = Containers([DEMO, "backup.yml"], project=PROJECT, variables=named, profiles=["backup"])
    containers.run("build", "backup")

    told = json.loads(containers.run("run", "--rm", "-T", "backup", "create", "--json"))

    assert told["log_size"] > 0
    assert [each.name for each in record.read(folder).backups] == [told["name"]]
    with decrypted(folder / f"{told['name']}.age", identities_of(tmp_path / "key")) as stream, archive.reading(stream) as parts:
        contents = {part.name: part.content.read() for part in parts}
    manifest = archive.read_manifest(contents["manifest.json"])
    assert manifest.tables["tasks.task"].rows > 0
    assert len(manifest.files) == len([name for name in contents if name.startswith("files/")]) > 0
    assert not manifest.missing
    assert contents["database/00000000"].startswith(b"PGDMP")
    seen = containers.run("run", "--rm", "-T", "--entrypoint", "ls", "backup", "/run/secrets").split()
    assert sorted(seen) == ["DATABASE_URL_BACKUP", "TLS_AUTHORITY"], "one role that reads, and nothing else"
