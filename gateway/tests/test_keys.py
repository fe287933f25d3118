"""Keys change hands without a refused token, and a withdrawn one never comes back."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from joserfc.jwk import ECKey

from gateway.containment import KEY_SET_FILE
from gateway.haproxy import HaproxyError
from gateway.tests.running import AUDIENCE, ORIGIN, ROUTES, RunningGateway, eventually, route
from libs.common.auth.policy import Role
from tests.tokens import Forge

PATH = "/api/v1/admin/things"


def forge(key: ECKey) -> Forge:
    """Signs as auth does with this key."""
    return Forge(key, str(key.kid), ORIGIN, AUDIENCE)


def status(gateway: RunningGateway, token: str) -> int:
    return httpx.get(f"{gateway.url}{PATH}", headers={"Authorization": f"Bearer {token}"}).status_code


class Signing:
    """What auth is doing: which key it signs with at the moment."""

    def __init__(self, key: ECKey) -> None:
        self.key = key


@contextmanager
def people(gateway: RunningGateway, signing: Signing) -> Iterator[Counter[str]]:
    """Some with a token each for the whole time, some who sign in anew again and again; what all of them got."""
    results: Counter[str] = Counter()
    lock, done = threading.Lock(), threading.Event()

    def ask(*, anew: bool) -> None:
        token = forge(signing.key).token(Role.ADMIN)
        with httpx.Client(base_url=gateway.url, timeout=10) as client:
            while not done.is_set():
                token = forge(signing.key).token(Role.ADMIN) if anew else token
                outcome = str(client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code)
                with lock:
                    results[outcome] += 1
                done.wait(0.002)

    threads = [threading.Thread(target=ask, kwargs={"anew": anew}) for anew in (True, True, False)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_whole_rotation_under_load_refuses_no_token(own: RunningGateway) -> None:
    first, second, third = own.key, own.key_of_tests("key-two"), own.key_of_tests("key-three")
    signing = Signing(first)

    def more(results: Counter[str], count: int = 60) -> None:
        seen = results.total()
        eventually(lambda: results.total() > seen + count)

    with people(own, signing) as old:
        more(old)
        own.publish(first, second)
        more(old)
        signing.key = second
        more(old)
        own.publish(first, second, third)
        more(old)
    # Whoever still had a token of the first key has a new one by now: the first is taken out of the set.
    with people(own, signing) as new:
        more(new)
        own.publish(second, third)
        more(new)

    assert set(old) == set(new) == {"200"}, (old, new)
    assert status(own, forge(first).token(Role.ADMIN)) == 401
    assert [key.key_id for key in own.gateway.keys] == ["key-three", "key-two"]


def test_a_withdrawn_key_stays_out_after_late_answers_reloads_restarts_and_old_state(own: RunningGateway) -> None:
    second = own.key_of_tests("key-two")
    own.publish(own.key, second)
    stolen, kept = forge(own.key).token(Role.ADMIN), forge(second).token(Role.ADMIN)
    answer_on_its_way = {"keys": [own.key.as_dict(private=False), second.as_dict(private=False)]}
    old_state = own.folder.read_state("jwks.json")
    assert (status(own, stolen), status(own, kept)) == (200, 200)

    own.gateway.withdraw_key("key-one")
    assert (status(own, stolen), status(own, kept)) == (401, 200)
    assert own.gateway.compile()
    assert (status(own, stolen), status(own, kept)) == (401, 200)

    own.gateway.take_keys(answer_on_its_way)
    assert (status(own, stolen), status(own, kept)) == (401, 200)

    own.folder.write_state("jwks.json", old_state)
    again = own.another_gateway()
    assert [key.key_id for key in again.keys] == ["key-two"]
    again.take_keys(answer_on_its_way)
    own.write_routes([*ROUTES, route("GET", "/api/v1/added", "public")])
    assert again.compile()
    assert (status(own, stolen), status(own, kept)) == (401, 200)

    own.stop()
    own.start()
    assert eventually(lambda: status(own, kept) == 200)
    assert status(own, stolen) == 401


def test_a_key_is_withdrawn_though_no_new_configuration_can_be_made_of_it(
    own: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = own.key_of_tests("key-two")
    own.publish(own.key, second)
    stolen, kept = forge(own.key).token(Role.ADMIN), forge(second).token(Role.ADMIN)
    assert (status(own, stolen), status(own, kept)) == (200, 200)
    monkeypatch.setattr("gateway.compiler._template", lambda *_: b"global\n  nonsense\n")

    own.gateway.withdraw_key("key-one")
    with pytest.raises(HaproxyError, match="nonsense"):
        own.gateway.compile()

    assert (status(own, stolen), status(own, kept)) == (401, 200)
    own.stop()
    own.start()
    assert eventually(lambda: status(own, kept) == 200)
    assert status(own, stolen) == 401


@pytest.mark.parametrize("key_id", ["", "a b", "a\nb", "../x", "x" * 129])
def test_what_is_no_key_id_is_not_written_down(key_id: str, shared: RunningGateway) -> None:
    with pytest.raises(ValueError, match="a key id is made of"):
        shared.gateway.withdraw_key(key_id)

    assert shared.folder.read_state("withdrawn_keys.map") == b""


@pytest.mark.parametrize(
    "garbage",
    [b"{", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b"\xff", b'{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a"}]}'],
)
def test_a_key_set_that_cannot_be_read_lets_nobody_in_until_it_is_told_anew(garbage: bytes, shared: RunningGateway) -> None:
    kept = shared.folder.read_state(KEY_SET_FILE)
    try:
        shared.folder.write_state(KEY_SET_FILE, garbage)
        assert shared.another_gateway().keys == ()
    finally:
        shared.folder.write_state(KEY_SET_FILE, kept)
