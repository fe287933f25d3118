"""The installation's own authority: who is certified, for how long, and what is made anew."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from libs.common import clock
from ops.authority import AUTHORITY_DAYS, KEY, LEAF_DAYS, RENEW_DAYS, Authority, Leaf, standing
from ops.vault import Vault

LEAVES = (Leaf("postgres", ("postgres", "localhost")), Leaf("tasks", ("tasks", "tasks-worker"), calls=True))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def read(vault: Vault, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(vault.path(name).read_bytes())


def verified_for(vault: Vault, name: str, host: str) -> bool:
    """Whether a client that knows the authority believes this certificate under this name (RFC 5280, as browsers read it)."""
    store = Store([read(vault, "TLS_AUTHORITY")])
    try:
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(host)).verify(read(vault, name), [])
    except VerificationError:
        return False
    return True


def test_a_certificate_holds_under_its_names_alone(vault: Vault) -> None:
    Authority(vault).ensure(LEAVES)
    assert verified_for(vault, "TLS_POSTGRES", "postgres")
    assert verified_for(vault, "TLS_TASKS", "tasks-worker")
    assert not verified_for(vault, "TLS_POSTGRES", "tasks")


def test_a_stranger_with_the_same_name_is_not_believed(vault: Vault, tmp_path: Path) -> None:
    Authority(vault).ensure(LEAVES)
    other = Vault(tmp_path / "other")
    Authority(other).ensure(LEAVES)
    vault.path("TLS_POSTGRES").write_bytes(other.path("TLS_POSTGRES").read_bytes())
    assert not verified_for(vault, "TLS_POSTGRES", "postgres")


def test_only_who_calls_has_a_certificate_to_call_with(vault: Vault) -> None:
    Authority(vault).ensure(LEAVES)
    uses = {
        name: read(vault, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for name in ("TLS_POSTGRES", "TLS_TASKS")
    }
    assert list(uses["TLS_POSTGRES"]) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert list(uses["TLS_TASKS"]) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def test_what_is_there_stays_and_renewal_keeps_the_authority(vault: Vault) -> None:
    made = Authority(vault).ensure(LEAVES)
    assert set(made) == {"TLS_AUTHORITY", KEY, "TLS_POSTGRES", "TLS_TASKS"}
    before = {name: vault.path(name).read_bytes() for name in made}
    assert Authority(vault).ensure(LEAVES) == []
    assert Authority(vault).ensure(LEAVES, renew=True) == ["TLS_POSTGRES", "TLS_TASKS"]
    changed = {name for name in made if vault.path(name).read_bytes() != before[name]}
    assert changed == {"TLS_POSTGRES", "TLS_TASKS"}


def test_another_name_asks_for_another_certificate(vault: Vault) -> None:
    Authority(vault).ensure(LEAVES)
    assert Authority(vault).ensure([Leaf("postgres", ("postgres", "standby"))]) == ["TLS_POSTGRES"]
    assert verified_for(vault, "TLS_POSTGRES", "standby")


@pytest.mark.parametrize(("left", "renewed"), [(RENEW_DAYS + 1, False), (RENEW_DAYS - 1, True)])
def test_a_certificate_that_soon_ends_is_made_anew(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, left: int, renewed: bool
) -> None:
    Authority(vault).ensure(LEAVES)
    later = clock.now() + timedelta(days=LEAF_DAYS - left)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert bool(Authority(vault).ensure(LEAVES)) is renewed


def test_the_first_to_end_is_told_first_and_the_authority_outlives_all(vault: Vault) -> None:
    Authority(vault).ensure(LEAVES)
    vault.write("TLS_NONSENSE", "no certificate")
    found = standing(vault.folder)
    assert [each.file for each in found][-1] == "TLS_AUTHORITY"
    assert [each.days(clock.now()) for each in found] == [LEAF_DAYS - 1, LEAF_DAYS - 1, AUTHORITY_DAYS - 1]


def test_the_authoritys_key_is_for_its_owner_alone(vault: Vault) -> None:
    Authority(vault).ensure(LEAVES)
    assert stat.S_IMODE(vault.path(KEY).stat().st_mode) == 0o600
