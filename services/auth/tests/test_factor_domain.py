"""Codes, methods and who must have a factor: the rules alone."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from libs.common.auth.policy import Role
from services.auth.domain import factors, passkeys, totp
from services.auth.domain.secrets import MasterSecret

SECRET = MasterSecret("Qm5x-2vR8tLk_Zy7wB4nC6dFhJpS9gUa")
OTHER_SECRET = MasterSecret("another-2vR8tLk_Zy7wB4nC6dFhJpS9")
RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # pragma: allowlist secret
ADA = uuid4()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    now = datetime.fromtimestamp(seconds, UTC)
    step = seconds // totp.STEP_SECONDS
    assert totp.matching_step(RFC_SECRET, code, now) == step
    for off, found in ((-2, None), (-1, step), (1, step), (2, None)):
        if step + off < totp.DRIFT_STEPS:
            continue
        assert totp.matching_step(RFC_SECRET, code, now + timedelta(seconds=off * totp.STEP_SECONDS)) == found


@given(st.text(max_size=12))
def test_whatever_is_typed_is_a_code_or_none(text: str) -> None:
    assert totp.matching_step(RFC_SECRET, text, datetime(2026, 1, 1, tzinfo=UTC)) is None or text.isdigit()


def test_a_secret_opens_for_its_user_and_under_its_secret_alone() -> None:
    shared = totp.new_secret()
    sealed = totp.seal_secret(shared, ADA, SECRET)
    assert totp.unseal_secret(sealed, ADA, SECRET) == shared
    with pytest.raises(InvalidTag):
        totp.unseal_secret(sealed, uuid4(), SECRET)
    with pytest.raises(InvalidTag):
        totp.unseal_secret(sealed, ADA, OTHER_SECRET)
    assert len(shared) == 32, "160 bits in base32"


def test_recovery_codes_are_long_typable_and_bound_to_their_user() -> None:
    codes = {totp.new_recovery_code() for _ in range(50)}
    assert len(codes) == 50
    code = codes.pop()
    assert len(code.replace("-", "")) == 16
    assert totp.recovery_code_hash(code, ADA) == totp.recovery_code_hash(f" {code.upper().replace('-', ' ')} ", ADA)
    assert totp.recovery_code_hash(code, ADA) != totp.recovery_code_hash(code, uuid4())


def test_recovery_codes_stand_in_for_a_factor_and_are_none() -> None:
    left = factors.Enrolled(recovery_codes=3)
    assert (left.any, left.factors) == (False, ())
    every = factors.Enrolled(totp=True, passkeys=2, recovery_codes=1)
    assert every.factors == (factors.Factor.PASSKEY, factors.Factor.TOTP, factors.Factor.RECOVERY_CODE)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("methods", [("pwd",), ("pwd", "otp", "mfa"), ("hwk", "user", "mfa")])
def test_in_production_an_administrators_role_waits_for_a_second_factor(role: Role, methods: tuple[str, ...]) -> None:
    withheld = role is Role.ADMIN and "mfa" not in methods
    assert factors.Required(of_administrators=True).roles(role, methods) == ("" if withheld else role)
    assert factors.Required(of_administrators=False).roles(role, methods) == role


def test_methods_are_named_once_and_say_what_was_shown() -> None:
    assert factors.with_code(("pwd",)) == ("pwd", "otp", "mfa")
    assert factors.with_code(factors.with_code(("pwd",))) == ("pwd", "otp", "mfa")
    assert factors.with_passkey((), synchronised=False) == ("hwk", "user", "mfa")
    assert factors.with_passkey(("pwd",), synchronised=True) == ("pwd", "swk", "user", "mfa")


@pytest.mark.parametrize("text", ["", " x", "x ", "a\nb", "x" * (passkeys.LABEL_MAXIMUM + 1)])
def test_a_passkey_is_not_named_like_this(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 60"):
        passkeys.label(text)
