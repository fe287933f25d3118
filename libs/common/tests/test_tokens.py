"""Access tokens: what is accepted, and everything that is not."""

import base64
import hmac
import json
from typing import Any
from uuid import UUID

import pytest
import time_machine
from joserfc import jwt
from joserfc.jwk import ECKey

from libs.common import clock
from libs.common.auth import Admission, PublishedKeys, Revocations, Role, Subject, TokenVerifier
from libs.common.auth.policy import STEP_UP_SECONDS_MAX, Access, Assurance, UndeclaredPolicy, allow_of
from libs.common.auth.tokens import LIFETIME_SECONDS, TOKEN_LENGTH_MAX
from libs.common.errors import Unauthenticated
from libs.common.http import Routes
from libs.common.testing import TestKeys, a_subject, claims_for, mint

ISSUER = "http://issuer"


class Door:
    """A verifier with its surroundings."""

    def __init__(self) -> None:
        self.keys = TestKeys()
        self.revocations = Revocations()
        self.verifier = TokenVerifier(ISSUER, "lumiere", self.keys, self.revocations)
        self.subject = a_subject(Role.ARTIST, Role.VIEWER)

    def token(self, header: dict[str, object] | None = None, **claims: Any) -> str:
        return mint(self.keys, claims_for(self.subject, ISSUER, "lumiere", **claims), **(header or {}))

    def verify(self, token: str) -> Subject:
        return self.verifier.verify(token)


@pytest.fixture
def door() -> Door:
    return Door()


def b64(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_a_good_token_gives_its_subject_again_and_again(door: Door) -> None:
    token = door.token()

    for _ in range(2):
        subject = door.verify(token)
        assert (subject.id, subject.session_id, subject.roles) == (door.subject.id, door.subject.session_id, door.subject.roles)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "http://elsewhere"},
        {"aud": "other"},
        {"aud": ["lumiere"]},
        {"exp": 1},
        {"nbf": 2**33, "exp": 2**33 + 5},
        {"iat": 2**33, "nbf": 2**33, "exp": 2**33 + 5},
        {"exp": "soon"},
        {"roles": "EMPEROR"},
        {"roles": ["ADMIN"]},
        {"sub": "somebody"},
        {"sid": None},
        {"extra": 1},
        {"auth_time": 2**60},
    ],
)
def test_a_token_with_wrong_claims_is_refused(door: Door, change: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        door.verify(door.token(**change))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"kid": "other"},
        {"kid": "../../etc/passwd"},
        {"jku": "http://evil/"},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"x5u": "http://evil/"},
    ],
)
def test_a_token_with_another_header_is_refused(door: Door, header: dict[str, object]) -> None:
    with pytest.raises(Unauthenticated):
        door.verify(door.token(header))


def test_a_token_without_signature_or_with_a_symmetric_one_is_refused(door: Door) -> None:
    claims = claims_for(door.subject, ISSUER, "lumiere")
    public = door.keys.key.as_pem(private=False)
    head = {"typ": "at+jwt", "kid": "test-key"}
    none = f"{b64({'alg': 'none', **head})}.{b64(claims)}."
    signed = f"{b64({'alg': 'HS256', **head})}.{b64(claims)}"
    tag = hmac.digest(public, signed.encode(), "sha256")
    symmetric = f"{signed}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"
    stranger = jwt.encode({"alg": "ES256", **head}, claims, ECKey.generate_key("P-256"))

    for token in (none, none + "AAAA", symmetric, stranger):
        with pytest.raises(Unauthenticated):
            door.verify(token)


def test_every_edit_and_every_truncation_of_a_token_is_refused(door: Door) -> None:
    token = door.token()
    header, payload, signature = token.split(".")
    forged = b64({**json.loads(base64.urlsafe_b64decode(payload + "==")), "roles": "ADMIN"})
    variants = [
        f"{header}.{forged}.{signature}",
        token + "=",
        token + "A",
        token[:-1],
        f"{header}..{signature}",
        f"{token}.x",
        "",
        "..",
    ]
    variants += [token[:length] for length in range(0, len(token), 37)]

    for variant in variants:
        with pytest.raises(Unauthenticated):
            door.verify(variant)


def test_a_token_over_the_length_limit_is_refused_unread(door: Door) -> None:
    with pytest.raises(Unauthenticated, match="too long"):
        door.verify("a" * (TOKEN_LENGTH_MAX + 1))


def test_a_cached_token_still_expires(door: Door) -> None:
    token = door.token()
    door.verify(token)

    with time_machine.travel(clock.epoch() + LIFETIME_SECONDS - 2, tick=False):
        door.verify(token)
    with time_machine.travel(clock.epoch() + LIFETIME_SECONDS + 1, tick=False), pytest.raises(Unauthenticated):
        door.verify(token)


def test_a_cached_token_of_a_revoked_session_is_refused(door: Door) -> None:
    token = door.token()
    door.verify(token)

    door.revocations.revoke_session(door.subject.session_id)

    with pytest.raises(Unauthenticated):
        door.verify(token)


def test_not_before_refuses_older_tokens_of_the_subject_and_no_newer_ones(door: Door) -> None:
    old = door.token()
    moment = int(clock.epoch()) + 1
    door.revocations.revoke_subject(door.subject.id, moment)

    with pytest.raises(Unauthenticated):
        door.verify(old)
    door.verify(door.token(iat=moment, nbf=moment))


def test_an_admission_holds_for_as_long_as_its_token_would_be_taken(door: Door) -> None:
    by_session, by_age = (Admission(door.verifier, door.token()) for _ in range(2))
    assert by_session.holds()
    assert Admission(door.verifier, door.token(cnf={"jkt": "x" * 43})).holds()
    assert not Admission(door.verifier, "no token").holds()
    assert not Admission(door.verifier, door.token(exp=int(clock.epoch()) - 1, iat=0, nbf=0)).holds()

    door.revocations.revoke_subject(door.subject.id, int(clock.epoch()) + 1)

    assert not by_age.holds()
    assert by_age.token not in repr(by_age)


def test_a_key_that_was_withdrawn_stops_cached_tokens_too() -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"})
    keys = PublishedKeys(lambda: {"keys": [key.as_dict(private=False)]}, minimum_interval=60)
    subject = a_subject(Role.ARTIST)
    verifier = TokenVerifier(ISSUER, "lumiere", keys, Revocations())
    token = jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}, claims_for(subject, ISSUER, "lumiere"), key)
    verifier.verify(token)

    keys.withdraw("k1")

    with pytest.raises(Unauthenticated):
        verifier.verify(token)


def test_a_withdrawn_key_is_not_brought_back_by_an_answer_on_its_way_and_costs_no_fetch() -> None:
    keys = [ECKey.generate_key("P-256", {"kid": kid, "alg": "ES256"}) for kid in ("k1", "k2")]
    document: dict[str, object] = {"keys": [key.as_dict(private=False) for key in keys]}
    fetches: list[int] = []

    def fetch() -> dict[str, object]:
        fetches.append(1)
        if len(fetches) == 2:
            published.withdraw("k1")  # while auth's answer of before is under way
        return document

    published = PublishedKeys(fetch, minimum_interval=0)
    published.refresh()
    assert published.find("k1") is not None
    published.refresh(force=True)

    assert published.find("k1") is None
    assert published.find("k2") is not None
    published.refresh(force=True)
    assert published.find("k1") is None
    assert len(fetches) == 3


def test_an_unknown_key_id_causes_one_fetch_in_a_while_and_a_failing_fetch_keeps_known_keys() -> None:
    fetches: list[int] = []
    key = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"})

    def fetch() -> dict[str, object]:
        fetches.append(1)
        if len(fetches) > 1:
            raise OSError
        return {"keys": [key.as_dict(private=False)]}

    keys = PublishedKeys(fetch, minimum_interval=3600)
    assert keys.find("k1") is not None
    for _ in range(10):
        assert keys.find("unknown") is None
    keys.refresh(force=True)

    assert len(fetches) == 2
    assert keys.find("k1") is not None


def test_a_known_key_is_never_fetched_within_a_request() -> None:
    fetches: list[int] = []
    key = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256"})

    def fetch() -> dict[str, object]:
        fetches.append(1)
        return {"keys": [key.as_dict(private=False)]}

    keys = PublishedKeys(fetch, minimum_interval=0)
    keys.refresh()
    with time_machine.travel(clock.epoch() + 3_600, tick=False):
        assert keys.find("k1") is not None

    assert len(fetches) == 1


def test_revocations_fall_out_when_no_token_can_carry_them_any_more() -> None:
    revocations = Revocations()
    session, person = UUID(int=1), UUID(int=2)
    revocations.merge({"sessions": {str(session): clock.epoch() + 60}, "subjects": {str(person): clock.epoch()}})
    claims = claims_for(a_subject(Role.ARTIST, session_id=session), ISSUER, "lumiere")

    assert revocations.synchronised
    with time_machine.travel(clock.epoch() + LIFETIME_SECONDS + 60, tick=False):
        revocations.revoke_session(UUID(int=3))
        assert str(session) == claims["sid"]
        assert len(revocations._sessions) == 1
        assert revocations._subjects == {}


@pytest.mark.parametrize(
    ("allow", "step_up"), [(Access.PUBLIC, 60), (Access.SERVICE, 60), (Role.ADMIN, 0), (Role.ADMIN, STEP_UP_SECONDS_MAX + 1)]
)
def test_a_step_up_that_nobody_could_keep_cannot_be_declared(allow: Access | Role, step_up: int) -> None:
    def handler() -> None:
        """Do something."""

    with pytest.raises(UndeclaredPolicy, match="step_up is"):
        Routes("sample").get("/x", allow=allow, step_up=step_up)(handler)
    for possible in (1, STEP_UP_SECONDS_MAX):
        Routes("sample").get("/x", allow=Access.SIGNED_IN, step_up=possible)(handler)


@pytest.mark.parametrize(
    ("allow", "options"),
    [
        (Access.SIGNED_IN, {"step_up_acr": Assurance.SECOND_FACTOR}),
        (Role.ADMIN, {"enrolment": True}),
        (Access.PUBLIC, {"enrolment": True}),
    ],
)
def test_a_second_factor_goes_with_a_step_up_and_an_enrolment_with_anybody(
    allow: Access | Role, options: dict[str, Any]
) -> None:
    def handler() -> None:
        """Do something."""

    with pytest.raises(UndeclaredPolicy, match=r"step_up_acr comes|enrolment is"):
        Routes("sample").get("/x", allow=allow, **options)(handler)


@pytest.mark.parametrize("declared", [(), [], {"ADMIN"}, "ADMIN", {Role.ADMIN, "x"}])
def test_a_route_that_permits_nobody_cannot_be_declared(declared: object) -> None:
    with pytest.raises(UndeclaredPolicy):
        allow_of(declared)  # type: ignore[arg-type]
