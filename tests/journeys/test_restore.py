"""A platform is lost while people work on it, and comes back from its backup: the rehearsal of docs/backups.md."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.age import identities_of, new_identity
from ops.backup import making, opening, record, restoration, witness
from ops.backup.place import RECIPIENTS, Place, this_place
from ops.demo.client import API, wait_for
from ops.errors import OperationError
from ops.ledger import rename
from ops.lifecycle import Platform, run_module
from ops.plan import Plan
from ops.proof import VerifierKey, verify
from ops.testing import TEST_FOLDER, LivePlatform, live_platform
from tests.journeys.people import Film, Person, Studio

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]
PATIENCE_SECONDS = 300
STATEMENT = "The machine was lost; its last backup was restored on another one."


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePlatform]:
    """A platform that this test alone uses, and destroys; it starts several times, also beside other tests."""
    monkeypatch.setattr("ops.lifecycle.READY_SECONDS", PATIENCE_SECONDS)
    with live_platform(TEST_FOLDER / "restored") as found:
        yield found


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The private key, where the platform cannot reach it."""
    path = tmp_path / "identity"
    path.write_text(new_identity()[0], encoding="ascii")
    return path


def place_of(live: LivePlatform, identity: Path) -> Place:
    place = this_place(live.layout, {})
    place.folder.mkdir(exist_ok=True)
    (place.folder / RECIPIENTS).write_text(str(identities_of(identity)[0].to_public()), encoding="ascii")
    return place


@contextmanager
def people_at_work(studio: Studio, film: Film) -> Iterator[list[str]]:
    """Tasks are planned one after the other for the length of a block; yields their ids as they are answered."""
    planned: list[str] = []
    enough = threading.Event()

    def work() -> None:
        while not enough.wait(0.3):
            planned.append(studio.plan_task(film, f"Planned while it lasts {len(planned)}")["id"])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield planned
    finally:
        enough.set()
        thread.join()


def published_checkpoint(studio: Studio) -> str:
    return studio.anyone.call("GET", "/proofs/checkpoint").text


def test_a_lost_platform_comes_back_and_tells_what_it_lost(live: LivePlatform, identity: Path, tmp_path: Path) -> None:
    place = place_of(live, identity)
    studio = Studio(live)
    artist = studio.newcomer()
    film = studio.film()
    kept_task = studio.plan_task(film, "Before the backup")
    kept = studio.finish(artist, kept_task)
    studio.wait_for_effects(artist, kept_task, PATIENCE_SECONDS)
    old_proof = studio.anyone.call("GET", f"/proofs/events/{studio.proofs_of(kept_task)[0]['event_id']}").content
    old_key = studio.log_key

    with people_at_work(studio, film) as planned:
        wait_for("work to begin", lambda: len(planned) > 2, PATIENCE_SECONDS)
        made = making.create(place)
        known = len(planned)
        wait_for("work to go on", lambda: len(planned) > known + 2, PATIENCE_SECONDS)
    opening.verify(place, opening.backup_path(place, "latest"), identities_of(identity))

    lost_task = studio.plan_task(film, "After the backup")
    lost = studio.finish(artist, lost_task)
    studio.wait_for_effects(artist, lost_task, PATIENCE_SECONDS)
    lost_proof = studio.anyone.call("GET", f"/proofs/events/{studio.proofs_of(lost_task)[0]['event_id']}").content
    somebodys_note = published_checkpoint(studio)
    lost_size = witness.head_of(somebodys_note).size
    studio.close()

    # The machine is gone. What remains: the backups, and the secrets in the safe.
    safe = tmp_path / "safe"
    shutil.copytree(place.folder, safe / "backups")
    shutil.copytree(live.layout.secrets, safe / "secrets")
    live.operations.clean()
    assert not live.layout.state.exists()

    shutil.copytree(safe / "backups", live.layout.backups)
    source = restoration.Source(opening.backup_path(place, "latest"), identities_of(identity), [somebodys_note])
    with pytest.raises(OperationError, match="Secrets that this backup needs are not in") as refused:
        restoration.restore(live.operations, place, source)
    assert "AUTH_SECRET (id " in refused.value.details
    assert not live.layout.secrets.exists(), "nothing is generated that would stand in the way of what is brought"
    shutil.copytree(safe / "secrets", live.layout.secrets)

    done = restoration.restore(live.operations, place, source)

    assert done.manifest.name == made.backup.name
    assert done.lost == (made.backup.log_size, lost_size - 1)
    assert not any(each["failed"] for each in done.replayed.values())
    record_there = record.read(live.layout.backups)
    assert record_there.newest_verified is not None

    _the_story_goes_on(Studio(live, studio), film.id, kept.task["id"], lost.task["id"], artist)
    _the_log_goes_on_as_another(live, studio, made.backup.log_size, old_key)
    # What was proved stays proved, also what the platform itself has forgotten.
    assert verify(old_proof, old_key).type == verify(lost_proof, old_key).type == "tasks.task.validated"


def _the_story_goes_on(after: Studio, film: str, kept: str, lost: str, artist: Person) -> None:
    returned = after.newcomer()
    returned.sign_in(artist.email, artist.password)
    origin = after.platform.origin
    shown = after.anyone.http.get(f"{origin}{API}/tasks/{kept}", headers=returned.authorization)
    assert shown.json()["status"] == "VALIDATED"
    assert after.anyone.http.get(f"{origin}{API}/tasks/{lost}", headers=returned.authorization).status_code == 404
    task = after.plan_task(Film(film, {}), "After the restore")
    after.finish(returned, task)
    # Nothing is proved yet: the log waits for somebody's word.
    assert after.proofs_of(task) == []
    after.close()


def _the_log_goes_on_as_another(live: LivePlatform, before: Studio, size: int, old_key: VerifierKey) -> None:
    plan = Plan(live.layout, durable=False)
    standing = json.loads(run_module(plan, "ledger", "standing"))
    assert (standing["may_sign"], standing["own"]["size"]) == (False, size)
    with pytest.raises(OperationError) as refused:
        run_module(plan, "ledger", "resume", given=STATEMENT)
    assert "would be a second history" in refused.value.details

    rename(live.operations, f"{old_key.name}/2", standing)
    run_module(Plan(live.layout, durable=False), "ledger", "resume", given=STATEMENT)
    Platform(live.layout, durable=False).up()

    after = Studio(live, before)
    wait_for(
        "the loss as a leaf",
        lambda: after.anyone.get("/proofs", params={"type": "ledger.log.resumed"})["items"],
        PATIENCE_SECONDS,
    )
    task = after.plan_task(after.film(), "Proved by the second log")
    artist = after.newcomer()
    after.finish(artist, task)
    after.wait_for_effects(artist, task, PATIENCE_SECONDS)
    proved = after.verify_offline(after.proofs_of(task)[0]["event_id"])
    assert (proved.origin, proved.size > size) == (f"{old_key.name}/2", True)
    after.close()
