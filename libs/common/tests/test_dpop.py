"""Proof of possession: what is accepted, and each of the checks of RFC 9449 section 4.3 broken once."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from libs.common import clock
from libs.common.auth.browser import origin_of
from libs.common.auth.dpop import (
    PROOF_AGE_MAX_SECONDS,
    PROOF_LEEWAY_SECONDS,
    PROOF_LENGTH_MAX,
    PROOF_REMEMBERED_SECONDS,
    BoundRequest,
    ProofRefused,
    verify_proof,
)
from libs.common.auth.policy import Role
from libs.common.db import kernel_tables
from libs.common.http import proofs
from libs.common.testing import a_subject, bound_to, claims_for, mint, prove
from libs.common.tests.conftest import ISSUER, Sample, metadata
from tests.tokens import sign

ORIGIN = "https://lumiere.test"
PATH = "/api/v1/notes"
TOKEN = "an.access.token"
KEY = ECKey.generate_key("P-256")
OTHER = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
REQUEST = BoundRequest("POST", ORIGIN, PATH, TOKEN, KEY.thumbprint())
NOW = 1_800_000_000


def proof(**changes: Any) -> str:
    """A proof of the request, but for the changes."""
    return prove(KEY, "POST", ORIGIN + PATH, TOKEN, **changes)


def headed(header: dict[str, Any], key: ECKey | RSAKey = KEY) -> str:
    """A proof whose header is another one, truly signed; None leaves a member out."""
    true = {"alg": "ES256", "typ": "dpop+jwt", "jwk": KEY.as_dict(private=False)}
    claims = json.loads(base64.urlsafe_b64decode(proof().split(".")[1] + "=="))
    return sign({name: value for name, value in {**true, **header}.items() if value is not None}, claims, key)


HOSTILE: dict[str, Callable[[], str | None]] = {
    "no proof at all": lambda: None,
    "two proofs in one header": lambda: f"{proof()}, {proof()}",
    "not a JWT": lambda: "proof",
    "two segments": lambda: proof().rsplit(".", 1)[0],
    "four segments": lambda: f"{proof()}.x",
    "padding": lambda: f"{proof()}=",
    "a payload that is no JSON": lambda: jws.serialize_compact(
        {"alg": "ES256", "typ": "dpop+jwt", "jwk": KEY.as_dict(private=False)}, b"x", KEY, algorithms=["ES256"]
    ),
    **{f"no {name}": lambda name=name: proof(**{name: None}) for name in ("jti", "htm", "htu", "iat", "ath")},  # type: ignore[misc]
    "no typ": lambda: headed({"typ": None}),
    "the type of an access token": lambda: headed({"typ": "at+jwt"}),
    "a type in capitals": lambda: headed({"typ": "DPOP+JWT"}),
    "no alg": lambda: headed({"alg": None}),
    "alg none": lambda: headed({"alg": "none"}),
    "a symmetric alg": lambda: headed({"alg": "HS256"}),
    "an asymmetric alg that is not on the list": lambda: headed({"alg": "RS256", "jwk": RSA.as_dict(private=False)}, RSA),
    "a key of another kind": lambda: headed({"jwk": RSA.as_dict(private=False)}),
    "a symmetric key": lambda: headed({"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
    "a key on another curve": lambda: headed({"jwk": ECKey.generate_key("P-384").as_dict(private=False)}),
    "a point that is not on the curve": lambda: headed({"jwk": {**KEY.as_dict(private=False), "y": "AAAA"}}),
    "no key": lambda: headed({"jwk": None}),
    "a key that is no object": lambda: headed({"jwk": KEY.thumbprint()}),
    "the private part of the key": lambda: headed({"jwk": KEY.as_dict(private=True)}),
    "a critical extension": lambda: headed({"crit": ["jwk"]}),
    "a key by address": lambda: headed({"jku": "https://attacker.example"}),
    "a signature of another key": lambda: headed({}, OTHER),
    "a signature of nothing": lambda: f"{proof().rsplit('.', 1)[0]}.{'A' * 86}",
    "a key that the token is not bound to": lambda: prove(OTHER, "POST", ORIGIN + PATH, TOKEN),
    "another method": lambda: proof(htm="GET"),
    "the method in small letters": lambda: proof(htm="post"),
    "another path": lambda: proof(htu=f"{ORIGIN}/api/v1/other"),
    "a longer path": lambda: proof(htu=f"{ORIGIN}{PATH}/x"),
    "an encoded slash for a slash": lambda: proof(htu=f"{ORIGIN}/api/v1%2Fnotes"),
    "another host": lambda: proof(htu=f"https://attacker.example{PATH}"),
    "a host with a user before it": lambda: proof(htu=f"https://lumiere.test@attacker.example{PATH}"),
    "a user before the host": lambda: proof(htu=f"https://x@lumiere.test{PATH}"),
    "another port": lambda: proof(htu=f"{ORIGIN}:8443{PATH}"),
    "a port that is none": lambda: proof(htu=f"{ORIGIN}:http{PATH}"),
    "another scheme": lambda: proof(htu=f"http://lumiere.test{PATH}"),
    "a path without an origin": lambda: proof(htu=PATH),
    "too old": lambda: proof(iat=NOW - PROOF_AGE_MAX_SECONDS - 1),
    "from the future": lambda: proof(iat=NOW + PROOF_LEEWAY_SECONDS + 1),
    "a time that is text": lambda: proof(iat=str(NOW)),
    "a time that is true": lambda: proof(iat=True),
    "the hash of another token": lambda: prove(KEY, "POST", ORIGIN + PATH, "another.access.token"),
    "an empty identifier": lambda: proof(jti=""),
    "an identifier that is a number": lambda: proof(jti=7),
    "too long": lambda: proof(x="x" * PROOF_LENGTH_MAX),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_proof_with_one_fault_is_refused(fault: str) -> None:
    with time_machine.travel(NOW, tick=False), pytest.raises(ProofRefused) as refused:
        verify_proof(HOSTILE[fault](), REQUEST)

    assert refused.value.headers()["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_dpop_proof"'


ACCEPTED: dict[str, dict[str, Any]] = {
    "as it should be": {},
    "as old as it may be": {"iat": NOW - PROOF_AGE_MAX_SECONDS},
    "as far ahead as it may be": {"iat": NOW + PROOF_LEEWAY_SECONDS},
    "with a query and a fragment": {"htu": f"{ORIGIN}{PATH}?x=y#z"},
    "with the usual port": {"htu": f"https://lumiere.test:443{PATH}"},
    "with capitals in scheme and host": {"htu": f"HTTPS://Lumiere.TEST{PATH}"},
    "with an unreserved character encoded": {"htu": f"{ORIGIN}/api/v1/%6Eotes"},
    "with claims that we do not know": {"nonce": "x", "exp": 1},
}


@pytest.mark.parametrize("variant", ACCEPTED)
def test_a_proof_of_the_request_is_accepted(variant: str) -> None:
    with time_machine.travel(NOW, tick=False):
        found = verify_proof(proof(**ACCEPTED[variant]), REQUEST)

    assert len(found.digest) == 32


def test_a_key_may_say_what_it_is_for() -> None:
    verify_proof(headed({"jwk": {**KEY.as_dict(private=False), "use": "sig", "alg": "ES256", "kid": "mine"}}), REQUEST)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://lumiere.film", "https://lumiere.film"),
        ("HTTPS://Lumiere.Film:443/x?y", "https://lumiere.film"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:80/", "http://[::1]"),
        ("https://lumiere.film:80", "https://lumiere.film:80"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(address: str, origin: str) -> None:
    assert origin_of(address) == origin


# -- at the door of a service


class Bound:
    """Somebody with a token that is bound to a key of theirs."""

    def __init__(self, sample: Sample, **claims: Any) -> None:
        self.sample = sample
        self.client: FlaskClient = sample.application.test_client()
        subject = a_subject(Role.ARTIST, Role.VIEWER)
        self.token = mint(sample.keys, claims_for(subject, ISSUER, "lumiere", **{"cnf": bound_to(KEY), **claims}))

    def prove(self, method: str = "GET", path: str = PATH, **changes: Any) -> str:
        return prove(KEY, method, f"{ISSUER}{path}", self.token, **changes)

    def get(self, *proofs: str, scheme: str = "DPoP") -> TestResponse:
        headers = [("Authorization", f"{scheme} {self.token}"), *(("DPoP", each) for each in proofs)]
        return self.client.get(PATH, headers=headers)


def test_a_bound_token_opens_the_door_with_a_proof_and_each_proof_once(sample: Sample) -> None:
    person = Bound(sample)
    used = person.prove()

    assert person.get(used).status_code == 200
    again = person.get(used)
    assert (again.status_code, again.json["type"].rsplit("/", 1)[1]) == (401, "proof-refused")
    assert person.get(person.prove()).status_code == 200
    assert person.get(person.prove(), scheme="dpop").status_code == 200
    assert (
        person.client.head(PATH, headers={"Authorization": f"DPoP {person.token}", "DPoP": person.prove("HEAD")}).status_code
        == 200
    )


def test_a_bound_token_is_no_bearer_token(sample: Sample) -> None:
    refused = Bound(sample).get(scheme="Bearer")

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_token"'


def test_a_token_without_a_key_is_refused_under_the_other_scheme(sample: Sample) -> None:
    person = Bound(sample, cnf=None)
    claims = claims_for(a_subject(Role.VIEWER), ISSUER, "lumiere")
    person.token = mint(sample.keys, claims)

    refused = person.get(person.prove())

    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == 'DPoP algs="ES256", error="invalid_token"'


@pytest.mark.parametrize("cnf", [{}, {"jkt": ""}, {"jkt": "x" * 44}, {"x5t#S256": "x" * 43}, {"jkt": 7}, "x", []])
def test_a_token_bound_in_a_way_that_is_not_ours_is_refused_under_both_schemes(sample: Sample, cnf: Any) -> None:
    person = Bound(sample, cnf=cnf)

    assert person.get(scheme="Bearer").status_code == 401
    assert person.get(person.prove()).status_code == 401


def test_a_bound_token_without_a_proof_or_with_two_is_refused(sample: Sample) -> None:
    person = Bound(sample)

    assert person.get().status_code == 401
    assert person.get(person.prove(), person.prove()).status_code == 401


def test_a_proof_is_about_the_public_origin_whatever_the_host_header_says(sample: Sample) -> None:
    person = Bound(sample)
    forged = prove(KEY, "GET", f"http://attacker.example{PATH}", person.token)

    headers = {"Authorization": f"DPoP {person.token}", "DPoP": forged, "Host": "attacker.example"}
    assert person.client.get(PATH, headers=headers).status_code == 401


def test_a_proof_is_spent_by_a_request_that_fails_for_another_reason(sample: Sample) -> None:
    person = Bound(sample)
    headers = {"Authorization": f"DPoP {person.token}", "DPoP": person.prove("POST")}

    assert person.client.post(PATH, json={"body": ""}, headers=headers).status_code == 422
    assert person.client.post(PATH, json={"body": "x"}, headers=headers).status_code == 401


def test_of_the_same_proof_sent_many_times_at_once_one_counts(sample: Sample) -> None:
    person = Bound(sample)
    used = person.prove()

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(
            pool.map(
                lambda _: (
                    person.sample.application.test_client()
                    .get(PATH, headers={"Authorization": f"DPoP {person.token}", "DPoP": used})
                    .status_code
                ),
                range(8),
            )
        )

    assert statuses == [200] + [401] * 7


def test_used_proofs_are_forgotten_when_their_age_alone_refuses_them(sample: Sample) -> None:
    person = Bound(sample)
    assert person.get(person.prove()).status_code == 200
    tables = kernel_tables(metadata)

    for seconds, left in ((PROOF_REMEMBERED_SECONDS - 2, 1), (PROOF_REMEMBERED_SECONDS + 2, 0)):
        with time_machine.travel(clock.now() + timedelta(seconds=seconds)), sample.database.transaction() as tx:
            proofs.purge(tx, tables)
        assert sample.count(tables.used_proof) == left


def test_a_step_up_asks_in_the_scheme_that_was_used(sample: Sample) -> None:
    person = Bound(sample, auth_time=1)
    proof_of_fresh = person.prove("POST", "/api/v1/fresh")

    refused = person.client.post("/api/v1/fresh", headers={"Authorization": f"DPoP {person.token}", "DPoP": proof_of_fresh})

    assert refused.headers["WWW-Authenticate"] == ('DPoP algs="ES256", error="insufficient_user_authentication", max_age="300"')
