"""Verifying an access token, with and without the cache, against the bare signature check."""

from collections.abc import Sequence

from joserfc import jws
from joserfc.jwk import ECKey

from bench.figures import Figure, against, limit
from bench.timing import MICROSECONDS, costs
from libs.common.auth import Revocations, Role, StaticKeys, TokenVerifier
from libs.common.auth.dpop import BoundRequest, verify_proof
from libs.common.auth.tokens import ALGORITHM
from libs.common.testing import TestKeys, a_subject, claims_for, mint, prove
from libs.common.testing.harness import AUDIENCE, ORIGIN
from libs.common.testing.tokens import KEY_ID

BARE = "joserfc alone: signature of one token"
FIRST = "platform, token seen for the first time"
AGAIN = "platform, token seen before"
PROMISED = {FIRST: 250.0, AGAIN: 15.0}
"""CPU µs at most."""


def measure(seconds: float) -> list[Figure]:
    """Processor time of one verification."""
    keys = TestKeys()
    token = mint(keys, claims_for(a_subject(Role.ARTIST), ORIGIN, AUDIENCE))
    public = ECKey.import_key(keys.key.as_dict(private=False))
    holder = ECKey.generate_key("P-256")
    proof = prove(holder, "GET", f"{ORIGIN}/x", token)
    request = BoundRequest("GET", ORIGIN, "/x", token, holder.thumbprint())
    known, revocations = StaticKeys({KEY_ID: public}), Revocations()
    cached = TokenVerifier(ORIGIN, AUDIENCE, known, revocations)
    took = costs(
        {
            BARE: lambda: jws.deserialize_compact(token, public, algorithms=[ALGORITHM]),
            # A new verifier has seen no token; making it costs less than a microsecond.
            FIRST: lambda: TokenVerifier(ORIGIN, AUDIENCE, known, revocations).verify(token),
            AGAIN: lambda: cached.verify(token),
            "platform, proof of possession": lambda: verify_proof(proof, request),
        },
        seconds,
    )
    base = limit(BARE, took.pop(BARE) * MICROSECONDS, "CPU µs")
    return [base, *(against(base, name, value * MICROSECONDS) for name, value in took.items())]


def missed(figures: Sequence[Figure]) -> list[str]:
    """A sentence for each promise that these figures do not keep."""
    seen = {each.name: each.value for each in figures}
    late = {name: bound for name, bound in PROMISED.items() if seen.get(name, bound + 1) > bound}
    return [f"{name}: {seen.get(name, 'not measured')}, wanted ≤ {bound:g} µs" for name, bound in late.items()]
