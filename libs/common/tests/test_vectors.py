"""The verifier against what breaks verifiers of signatures: never more lenient than the library below it.

The attacks are those of Project Wycheproof's vectors for JSON Web Signatures, made here with a key of the tests' own. The
project's files themselves (Apache-2.0) are run when `WYCHEPROOF_VECTORS` names the folder that holds them.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey

from libs.common.auth import Role
from libs.common.auth.tokens import ALGORITHM, TOKEN_TYPE, StaticKeys, verify_signature
from libs.common.errors import Unauthenticated
from libs.common.testing import a_subject, claims_for

KEY_ID = "of-the-vectors"
KEY = ECKey.generate_key("P-256")
PUBLIC = ECKey.import_key(KEY.as_dict(private=False))
STRANGER = ECKey.generate_key("P-256")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (SEC 2, section 2.4.2)."""
CLAIMS = claims_for(a_subject(Role.ADMIN), "http://issuer", "lumiere")
HEADER = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": KEY_ID}
VECTORS = os.environ.get("WYCHEPROOF_VECTORS")
FILES = ("json_web_signature_test.json", "json_web_crypto_test.json")


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Mapping[str, Any], key: Any = KEY) -> str:
    return jwt.encode(dict(header), CLAIMS, key, algorithms=[str(header["alg"])])


TRUE = signed(HEADER)
HEAD, BODY, SIGNATURE = TRUE.split(".")
RAW = base64.urlsafe_b64decode(SIGNATURE + "==")
R, S = int.from_bytes(RAW[:32], "big"), int.from_bytes(RAW[32:], "big")


def shapes() -> Iterator[tuple[str, str]]:
    """What is no compact serialisation, or another one of the same."""
    yield from {
        "no signature": f"{HEAD}.{BODY}.",
        "no signature and no separator": f"{HEAD}.{BODY}",
        "no payload": f"{HEAD}..{SIGNATURE}",
        "no payload and no separator": f"{HEAD}.{SIGNATURE}",
        "no header": f".{BODY}.{SIGNATURE}",
        "no header and no separator": f"{BODY}.{SIGNATURE}",
        "a payload alone": BODY,
        "separators alone": f".{BODY}.",
        "nothing": "",
        "an empty part more": f"{TRUE}.",
        "a part more": f"{TRUE}.foo",
        "padding": f"{HEAD}.{BODY}.{SIGNATURE}==",
        "a space": f"{HEAD}.{BODY}. {SIGNATURE}",
        "a line break": f"{HEAD}.{BODY}.{SIGNATURE}\n",
        "a line break within": f"{HEAD}.{BODY[:9]}\n{BODY[9:]}.{SIGNATURE}",
        "the other alphabet": f"{HEAD}.{BODY}.{SIGNATURE[:-4]}+/+/",
        "a JSON serialisation": json.dumps({"payload": BODY, "signatures": [{"protected": HEAD, "signature": SIGNATURE}]}),
        "a flattened JSON serialisation": json.dumps({"payload": BODY, "protected": HEAD, "signature": SIGNATURE}),
    }.items()


def headers() -> Iterator[tuple[str, str]]:
    """What another header would make of it."""
    own = STRANGER.as_dict(private=False)
    secret = OctKey.import_key(json.dumps(PUBLIC.as_dict(private=False)))
    yield "no algorithm", f"{encoded(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{BODY}."
    yield "no algorithm and a signature", f"{encoded(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{BODY}.{SIGNATURE}"
    yield "another header", f"{encoded(json.dumps({**HEADER, 'x': 1}).encode())}.{BODY}.{SIGNATURE}"
    yield "another key's name", signed({**HEADER, "kid": "another"})
    yield "another key", signed(HEADER, STRANGER)
    yield "a key of the attacker's in the header", signed({**HEADER, "jwk": own}, STRANGER)
    yield "the key as a shared secret", signed({**HEADER, "alg": "HS256"}, secret)
    yield "no type", signed({name: value for name, value in HEADER.items() if name != "typ"})
    twice = json.dumps(HEADER).encode()[:-1] + b', "alg": "none"}'
    yield "an algorithm twice", f"{encoded(twice)}.{BODY}.{SIGNATURE}"
    yield "a header that is no object", f"{encoded(b'[]')}.{BODY}.{SIGNATURE}"
    yield "a header that is no JSON", f"{encoded(b'{')}.{BODY}.{SIGNATURE}"
    yield "a header with a letter more", f"{HEAD}x.{BODY}.{SIGNATURE}"


def signatures() -> Iterator[tuple[str, str]]:
    """Signatures that are none, or are another spelling of the true one."""
    pairs = {
        "of another payload": None,
        "r and s exchanged": (S, R),
        "r negated": (ORDER - R, S),
        "r of zero": (0, S),
        "s of zero": (R, 0),
        "both of zero": (0, 0),
        "both of one": (1, 1),
        "r of the order": (ORDER, S),
        "s of the order": (R, ORDER),
        "both of the order": (ORDER, ORDER),
        "r of one and s of the order less one": (1, ORDER - 1),
        "the largest": (2**256 - 1, 2**256 - 1),
    }
    for name, pair in pairs.items():
        raw = RAW if pair is None else pair[0].to_bytes(32, "big") + pair[1].to_bytes(32, "big")
        body = encoded(json.dumps({**CLAIMS, "roles": "VIEWER"}).encode()) if pair is None else BODY
        yield name, f"{HEAD}.{body}.{encoded(raw)}"
    yield "in DER", f"{HEAD}.{BODY}.{encoded(encode_dss_signature(R, S))}"
    yield "cut short", f"{HEAD}.{BODY}.{encoded(RAW[:-1])}"
    yield "grown", f"{HEAD}.{BODY}.{encoded(RAW + bytes(1))}"
    yield "grown in front", f"{HEAD}.{BODY}.{encoded(bytes(1) + RAW)}"
    for at in range(0, 64, 9):
        yield f"with a bit of byte {at} changed", f"{HEAD}.{BODY}.{encoded(RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :])}"


ATTACKS = dict([*shapes(), *headers(), *signatures()])


def ours(token: str, keys: Mapping[str, ECKey]) -> bool:
    try:
        verify_signature(token, StaticKeys(keys))
    except Unauthenticated:
        return False
    return True


def joserfc_alone(token: str, key: Any, algorithm: str) -> bool:
    """What the library makes of it when told the algorithm, as its documentation says to."""
    try:
        jws.deserialize_compact(token, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        return False
    return True


def test_the_true_token_is_taken_by_both() -> None:
    assert ours(TRUE, {KEY_ID: PUBLIC})
    assert joserfc_alone(TRUE, PUBLIC, ALGORITHM)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_whatever_the_library_makes_of_it(attack: str) -> None:
    assert not ours(ATTACKS[attack], {KEY_ID: PUBLIC})


def test_the_negated_signature_is_as_true_as_the_other_and_opens_no_other_door() -> None:
    """ECDSA has two signatures of everything (s and n - s): a token is known by its claims, never by its bytes."""
    twin = f"{HEAD}.{BODY}.{encoded(R.to_bytes(32, 'big') + (ORDER - S).to_bytes(32, 'big'))}"
    assert ours(twin, {KEY_ID: PUBLIC}) == joserfc_alone(twin, PUBLIC, ALGORITHM)


def wycheproof() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name in FILES:
        for group in json.loads((Path(str(VECTORS)) / name).read_text(encoding="utf-8"))["testGroups"]:
            for vector in group["tests"]:
                if "jws" in vector:
                    yield f"{name} {vector['tcId']} {vector['comment']}", group.get("public") or group["private"], vector


@pytest.mark.skipif(not VECTORS, reason="WYCHEPROOF_VECTORS names no folder with the vectors")
def test_no_vector_of_wycheproof_passes_that_should_not_or_that_the_library_refuses() -> None:
    judged = 0
    for name, document, vector in wycheproof():
        if "keys" in document or "alg" not in document:
            continue
        key = JWKRegistry.import_key(document)
        token = vector["jws"] if isinstance(vector["jws"], str) else json.dumps(vector["jws"])
        taken = ours(token, {str(document.get("kid")): key} if isinstance(key, ECKey) else {})
        assert not (taken and vector["result"] == "invalid"), name
        assert not taken or joserfc_alone(token, key, document["alg"]), name
        judged += 1
    assert judged > 300
