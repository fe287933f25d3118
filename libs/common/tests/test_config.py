"""Settings: every fault at once, never a value."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from libs.common.config import ConfigurationError, Port, Secret, ServiceSettings, Settings, load

STRONG = "k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa"
GOOD = {
    "DATABASE_URL": "postgresql://u:p@localhost/x",
    "AMQP_URL": "amqp://u:p@localhost/",
    "REVOCATION_LIST_TOKEN": STRONG,
    "NOTIFY_PUBLIC_KEY": "a-public-key",
}


class AuthLike(Settings):
    """Settings with a secret of their own."""

    auth_secret: Secret
    port: Port
    plain: str


def test_all_faults_are_named_at_once_and_no_value_is_printed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(AuthLike, {"AUTH_SECRET": "too-short-value", "PORT": "70000"})

    message = str(caught.value)
    assert "AUTH_SECRET must have at least 32 characters" in message
    assert "PORT" in message
    assert "PLAIN is required (or PLAIN_FILE" in message
    assert "too-short-value" not in message
    assert "70000" not in message


@pytest.mark.parametrize("length", [31, 32, 33])
def test_a_secret_under_32_characters_is_refused(length: int) -> None:
    environ = {"AUTH_SECRET": (STRONG + "q")[:length], "PORT": "1", "PLAIN": "x"}

    if length < 32:
        with pytest.raises(ConfigurationError, match="at least 32"):
            load(AuthLike, environ)
    else:
        assert load(AuthLike, environ).auth_secret.get_secret_value() == environ["AUTH_SECRET"]


@pytest.mark.parametrize(
    "placeholder",
    [
        "change-me-change-me-change-me-change-me",
        "x" * 40,
        "your-secret-goes-here-0123456789-abcdef",
        "replace-me" * 5,
        "placeholder" * 4,
    ],
)
def test_a_placeholder_is_refused_as_a_secret(placeholder: str) -> None:
    with pytest.raises(ConfigurationError, match="placeholder"):
        load(AuthLike, {"AUTH_SECRET": placeholder, "PORT": "1", "PLAIN": "x"})


def test_a_variable_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(STRONG + "\n")

    settings = load(AuthLike, {"AUTH_SECRET_FILE": str(path), "PORT": "1", "PLAIN": "x"})

    assert settings.auth_secret == SecretStr(STRONG)
    assert STRONG not in repr(settings)


def test_a_file_that_cannot_be_read_is_named_with_the_other_faults(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(AuthLike, {"AUTH_SECRET_FILE": str(tmp_path / "absent"), "PORT": "x"})

    message = str(caught.value)
    assert "AUTH_SECRET_FILE cannot be read" in message
    assert "PLAIN is required" in message
    assert "PORT" in message


def test_production_needs_https() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        load(ServiceSettings, {**GOOD, "LUMIERE_ENV": "production"})

    assert load(ServiceSettings, {**GOOD, "LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://lumiere.film"}).production


def test_other_variables_of_the_environment_are_not_looked_at() -> None:
    assert load(ServiceSettings, {**GOOD, "HOME": "/somewhere"}).audience == "lumiere"
