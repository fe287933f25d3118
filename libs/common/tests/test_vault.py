"""Variables that stand in Vault: read at the start, each fault named with the others, no value shown. The Vault is a fake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from libs.common.config import ConfigurationError, Secret, Settings, load
from libs.common.tests.fake_vault import ROLE, SECRET, TOKEN, FakeVault, fake_vault

VALUE = "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa"  # pragma: allowlist secret


class Sample(Settings):
    """Two secrets and something open."""

    auth_secret: Secret = Field(description="One")
    other_secret: SecretStr | None = Field(default=None, description="Another")
    plain: str = Field(default="open", description="No secret")


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with fake_vault() as found:
        found.secrets["secret/lumiere/production"] = {"AUTH_SECRET": VALUE, "other": "o" * 20, "number": 5}
        yield found


def environ(vault: FakeVault, **more: str) -> dict[str, str]:
    return {
        "VAULT_ADDR": vault.address,
        "VAULT_TOKEN": TOKEN,
        "AUTH_SECRET_VAULT": "secret/lumiere/production#AUTH_SECRET",
        **more,
    }


def faults(given: dict[str, str]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(Sample, given)
    assert VALUE not in str(caught.value)
    return str(caught.value)


def test_a_variable_may_stand_in_vault(vault: FakeVault) -> None:
    settings = load(Sample, environ(vault, OTHER_SECRET_VAULT="secret/lumiere/production#other"))

    assert settings.auth_secret.get_secret_value() == VALUE
    assert settings.other_secret == SecretStr("o" * 20)
    assert settings.plain == "open"
    assert VALUE not in repr(settings)
    assert vault.asked == ["GET /v1/secret/data/lumiere/production"], "one path, one question; a token that was given stays"


def test_the_environment_and_files_come_first(vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(VALUE[::-1], encoding="ascii")

    assert load(Sample, environ(vault, AUTH_SECRET_FILE=str(tmp_path / "secret"))).auth_secret.get_secret_value() == VALUE[::-1]
    assert vault.asked == []


def test_production_asks_no_vault_elsewhere_in_clear(vault: FakeVault) -> None:
    told = faults(environ(vault, LUMIERE_ENV="production", VAULT_ADDR="http://vault.example.org:8200"))

    assert "AUTH_SECRET_VAULT cannot be read: VAULT_ADDR must begin with https:// in production" in told
    assert load(Sample, environ(vault, LUMIERE_ENV="production")).auth_secret, "an agent on this machine may be asked so"


def test_an_approle_signs_in_and_out(vault: FakeVault, tmp_path: Path) -> None:
    (tmp_path / "secret-id").write_text(f"{SECRET}\n", encoding="ascii")
    given = environ(vault, VAULT_ROLE_ID=ROLE, VAULT_SECRET_ID_FILE=str(tmp_path / "secret-id"))
    del given["VAULT_TOKEN"]

    assert load(Sample, given).auth_secret.get_secret_value() == VALUE
    assert vault.asked[0] == "POST /v1/auth/approle/login"
    assert vault.revoked == 1, "the session ends with the start"


def test_an_unknown_approle_is_named(vault: FakeVault) -> None:
    given = environ(vault, VAULT_ROLE_ID=ROLE, VAULT_SECRET_ID="wrong")
    del given["VAULT_TOKEN"]

    assert "AUTH_SECRET_VAULT cannot be read: Vault does not know VAULT_ROLE_ID with VAULT_SECRET_ID" in faults(given)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("secret/lumiere/staging#AUTH_SECRET", "there is no secret at secret/lumiere/staging"),
        ("secret/lumiere/production#absent", "has no text in the field absent"),
        ("secret/lumiere/production#number", "has no text in the field number"),
        ("secret/lumiere/production", "must have the form <mount>/<path>#<field>"),
        ("secret#AUTH_SECRET", "must have the form <mount>/<path>#<field>"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(vault: FakeVault, reference: str, reason: str) -> None:
    message = faults(environ(vault, AUTH_SECRET_VAULT=reference))

    assert f"AUTH_SECRET_VAULT cannot be read: {reason}" in message or reason in message


def test_every_fault_is_named_at_once(vault: FakeVault) -> None:
    vault.forbidden.add("secret/lumiere/production")

    message = faults(environ(vault, OTHER_SECRET_VAULT="secret/absent#x"))

    assert "AUTH_SECRET_VAULT cannot be read: Vault lets us not read secret/lumiere/production" in message
    assert "OTHER_SECRET_VAULT cannot be read: there is no secret at secret/absent" in message


def test_a_vault_that_is_sealed_or_away_is_named(vault: FakeVault) -> None:
    vault.broken = True
    assert f"Vault at {vault.address} does not answer as it should (VaultDown)" in faults(environ(vault))
    assert "does not answer as it should (ConnectionError)" in faults(environ(vault, VAULT_ADDR="http://127.0.0.1:9"))


def test_a_vault_that_says_nothing_is_not_waited_for(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.vault.TIMEOUT_SECONDS", 0.2)
    vault.silent.set()

    assert "does not answer as it should" in faults(environ(vault))


def test_who_reads_vault_says_who_it_is(vault: FakeVault) -> None:
    given = environ(vault)
    del given["VAULT_TOKEN"]

    assert "VAULT_TOKEN is required, or VAULT_ROLE_ID and VAULT_SECRET_ID" in faults(given)


def test_what_is_in_vault_is_judged_like_everything_else(vault: FakeVault) -> None:
    vault.secrets["secret/lumiere/production"]["AUTH_SECRET"] = "short"

    message = faults(environ(vault))

    assert "AUTH_SECRET must have at least 32 characters" in message
    assert "short" not in message
