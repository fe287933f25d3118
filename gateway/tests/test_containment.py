"""What must be refused at once is on disk and in HAProxy, whoever wrote it and whatever failed meanwhile."""

import subprocess
import sys
import threading
from fcntl import LOCK_EX, flock
from pathlib import Path

import httpx
import pytest

from gateway.containment import Containment, map_of
from gateway.folder import Folder
from gateway.maintenance import MAINTENANCE_FILE, SCOPE, Decision, Maintenance, Word
from gateway.manifest import ROOT
from gateway.revocations import KEYS_FILE, SESSIONS_FILE, SUBJECTS_FILE
from gateway.tests.running import ROUTES, RunningGateway, route
from libs.common.ids import new_id

OPERATOR = "somebody"
WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from gateway.containment import Containment
from gateway.folder import Folder

containment = Containment(Folder(Path(sys.argv[1])))
sys.stdin.readline()
for name in sys.argv[2:]:
    containment.revoke_session(UUID(name))
"""


@pytest.mark.parametrize("garbage", [b"x y\n", b"x 1.5\n", b"\xff\xfe 1\n", b"\0\0\n", b"x\n", "x ١\n".encode()])
@pytest.mark.parametrize("file", [SESSIONS_FILE, SUBJECTS_FILE, KEYS_FILE])
def test_a_line_that_cannot_be_read_keeps_nobody_from_withdrawing(file: str, garbage: bytes, tmp_path: Path) -> None:
    folder, session, kept = Folder(tmp_path), new_id(), b"kept 4102444800\n"
    folder.write_state(file, kept + garbage)

    Containment(folder).revoke_session(session)

    assert str(session).encode() in folder.read_state(SESSIONS_FILE)
    assert kept in folder.read_state(file)


def test_two_processes_and_a_reload_at_once_lose_nobodys_entry(door: RunningGateway) -> None:
    shares = [[str(new_id()) for _ in range(40)] for _ in range(3)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(door.folder.root), *names], cwd=ROOT, stdin=subprocess.PIPE, text=True
        )
        for names in shares[:2]
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for number, name in enumerate(shares[2]):
        door.gateway.take_revocations({"sessions": {name: 2_000_000_000}})
        if number % 20 == 10:
            door.write_routes([*ROUTES, route("GET", f"/api/v1/meanwhile{number}", "public")])
            assert door.gateway.compile()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()

    wanted = {name for names in shares for name in names}
    assert wanted <= set(door.another_gateway()._revocations.sessions)
    door.gateway.reconcile()  # as the watch does, several times a second
    assert wanted <= set(door.gateway.haproxy.entries(map_of(SESSIONS_FILE)))


def test_two_threads_of_two_processes_decide_and_disk_and_worker_agree(door: RunningGateway) -> None:
    other = door.another_gateway()
    deciding = [
        threading.Thread(target=lambda each=each, word=word: [each.hear_operator(word, str(n), OPERATOR) for n in range(20)])
        for each, word in ((door.gateway, Word.ON), (other, Word.OFF))
    ]
    for thread in deciding:
        thread.start()
    for thread in deciding:
        thread.join()

    on_disk = Maintenance.parse(door.folder.read_state(MAINTENANCE_FILE)).enabled
    assert (SCOPE in door.gateway.haproxy.entries(map_of(MAINTENANCE_FILE))) == on_disk == door.shut()


def test_a_process_that_died_between_disk_and_push_is_finished_by_the_watch(door: RunningGateway) -> None:
    door.folder.write_state(MAINTENANCE_FILE, Maintenance(operator=Decision(enabled=True)).file())
    assert not door.shut()

    door.gateway.reconcile()
    assert door.shut()


def test_a_process_that_hangs_with_the_locks_stops_nobody(door: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.containment.LOCK_SECONDS", 0.05)
    monkeypatch.setattr("gateway.haproxy.LOCK_SECONDS", 0.05)
    with (door.folder.root / "state.lock").open("w") as one, (door.folder.root / "haproxy.lock").open("w") as another:
        flock(one, LOCK_EX)
        flock(another, LOCK_EX)
        Containment(door.folder).hear_operator(Word.ON, None, OPERATOR)

    assert door.shut()


def test_a_full_disk_keeps_nobody_from_refusing(door: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_id()
    headers = door.bearer(sid=str(session))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as changes:
        changes.setattr(door.folder, "write_state", full)
        with pytest.raises(OSError, match="No space"):
            door.gateway.revoke_session(session)

    assert httpx.get(f"{door.url}/api/v1/mine", headers=headers).status_code == 401


def test_a_withdrawn_key_is_refused_at_once_whatever_auth_lists_until_the_withdrawal_is_undone(door: RunningGateway) -> None:
    headers = door.bearer()

    def status() -> int:
        return httpx.get(f"{door.url}/api/v1/mine", headers=headers).status_code

    assert status() == 200
    Containment(door.folder).withdraw_key("key-one")
    assert status() == 401
    door.stop()
    door.start()
    assert status() == 401
    door.gateway.take_keys({"keys": [door.key.as_dict(private=False), door.key_of_tests("key-two").as_dict(private=False)]})
    assert [key.key_id for key in door.gateway.keys] == ["key-two"]
    assert Containment(door.folder).restore_key("key-one")
    door.gateway.reconcile()
    assert door.gateway.compile()
    assert status() == 200
