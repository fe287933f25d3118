"""Rules of the provider as properties: redirect addresses, PKCE, scopes and the patience of devices."""

import string
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc7636.challenge import create_s256_code_challenge
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.auth.policy import Scope
from services.auth.domain.authorization import Provider, answer_address, ordered, with_query
from services.auth.domain.clients import ApplicationType, redirect_address, same_address
from services.auth.domain.devices import DeviceState, Poll, Polled, judge_poll, shown, slower, typed
from services.auth.domain.protocol import parameters
from services.auth.tests.relying import challenge_of

WEB, NATIVE = ApplicationType.WEB, ApplicationType.NATIVE
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
quick = settings(max_examples=150, deadline=None)

addresses = st.builds(
    "https://{}.example/{}".format,
    st.text(string.ascii_lowercase, min_size=1, max_size=8),
    st.text(string.ascii_letters + string.digits + "/._~-", max_size=12),
)


@quick
@given(registered=addresses, given_address=addresses)
def test_an_address_is_the_registered_one_only_character_by_character(registered: str, given_address: str) -> None:
    assert same_address(registered, given_address, WEB) is (registered == given_address)
    assert same_address(registered, given_address, NATIVE) is (registered == given_address)


@quick
@given(registered=addresses, at=st.integers(0, 60), letter=st.sampled_from(list(string.printable)))
def test_one_more_character_anywhere_makes_another_address(registered: str, at: int, letter: str) -> None:
    changed = registered[:at] + letter + registered[at:]

    assert not same_address(registered, changed, WEB)
    assert not same_address(registered, changed, NATIVE)


@quick
@given(port=st.integers(1, 65_535), host=st.sampled_from(["127.0.0.1", "[::1]"]))
def test_a_native_client_has_any_port_of_the_loopback_and_a_web_client_none(port: int, host: str) -> None:
    registered = f"http://{host}/callback?x=1"

    assert same_address(registered, f"http://{host}:{port}/callback?x=1", NATIVE)
    assert not same_address(registered, f"http://{host}:{port}/callback?x=1", WEB)
    assert not same_address(registered, f"http://{host}:{port}/callback", NATIVE)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:80a/callback",
        "http://127.0.0.1:８０/callback",
        "http://127.0.0.1:80:80/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1\\@evil.example/callback",
        "http://localhost:80/callback",
        "http://[::1]:80/callback",
        "https://127.0.0.1:80/callback",
        "HTTP://127.0.0.1:80/callback",
        "http://127.0.0.1:80/callback#x",
        "http://127.0.0.1:80/callback/..",
    ],
)
def test_what_only_looks_like_the_loopback_is_another_address(address: str) -> None:
    assert not same_address("http://127.0.0.1/callback", address, NATIVE)


@quick
@given(text=st.text(max_size=40))
def test_no_text_makes_an_address_that_a_browser_could_read_as_a_script(text: str) -> None:
    for kind in (WEB, NATIVE):
        try:
            taken = redirect_address(text, kind)
        except ValueError:
            continue
        scheme = urlsplit(taken).scheme
        assert scheme == "https" or kind is NATIVE
        assert scheme not in {"javascript", "data", "vbscript", "blob", "file"}


@quick
@given(verifier=st.text(string.ascii_letters + string.digits + "-._~", min_size=43, max_size=128))
def test_a_challenge_fits_its_verifier_and_no_other(verifier: str) -> None:
    challenge = challenge_of(verifier)

    assert create_s256_code_challenge(verifier) == challenge
    assert create_s256_code_challenge(verifier[::-1]) == challenge or verifier != verifier[::-1]
    assert create_s256_code_challenge(verifier + "x") != challenge
    assert len(challenge) == 43


@quick
@given(state=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_a_state_comes_back_as_it_was_whatever_is_in_it(state: str) -> None:
    address = answer_address("https://app.example/cb?kept=%26", Provider("https://lumiere.example"), state, code="c")

    answer = parse_qsl(urlsplit(address).query, keep_blank_values=True)
    assert answer == [("kept", "&"), ("code", "c"), ("state", state), ("iss", "https://lumiere.example")]
    assert urlsplit(with_query("org.example.app:/cb", {"code": "c"})).query == "code=c"


@quick
@given(names=st.lists(st.sampled_from(list(Scope))))
def test_scopes_stand_in_one_order_each_once(names: list[Scope]) -> None:
    written = ordered(names)

    assert set(written.split()) == set(names)
    assert written == ordered(reversed(names)) == ordered(written.split())


@quick
@given(body=st.binary(max_size=80))
def test_no_body_breaks_the_reading_of_parameters(body: bytes) -> None:
    from authlib.oauth2.rfc6749 import InvalidRequestError

    try:
        found = parameters(body)
    except InvalidRequestError:
        return
    assert all(found.values())


@pytest.mark.parametrize(
    ("state", "age", "since_poll", "told"),
    [
        (DeviceState.PENDING, 0, None, Poll.PENDING),
        (DeviceState.PENDING, 0, 4.9, Poll.TOO_SOON),
        (DeviceState.PENDING, 0, 5, Poll.PENDING),
        (DeviceState.APPROVED, 0, 4.9, Poll.TOO_SOON),
        (DeviceState.APPROVED, 0, None, Poll.GRANTED),
        (DeviceState.DENIED, 0, None, Poll.DENIED),
        (DeviceState.PENDING, 600, None, Poll.EXPIRED),
        (DeviceState.APPROVED, 600, None, Poll.EXPIRED),
        (DeviceState.SPENT, 0, None, Poll.UNKNOWN),
    ],
)
def test_a_device_is_told_what_became_of_it(state: DeviceState, age: float, since_poll: float | None, told: Poll) -> None:
    polled_at = None if since_poll is None else NOW - timedelta(seconds=since_poll)
    known = Polled(state, NOW + timedelta(minutes=10) - timedelta(seconds=age), polled_at, timedelta(seconds=5))

    assert judge_poll(known, NOW) is told


def test_a_device_never_has_to_wait_longer_than_a_minute() -> None:
    assert slower(timedelta(seconds=5)) == timedelta(seconds=10)
    assert slower(timedelta(seconds=58)) == timedelta(seconds=60)


@quick
@given(code=st.text("BCDFGHJKLMNPQRSTVWXZ", min_size=8, max_size=8))
def test_a_user_code_is_recognised_however_it_is_typed(code: str) -> None:
    assert typed(shown(code)) == typed(f" {shown(code).lower()} ") == typed(code.lower()) == code
