"""What auth demands of its environment."""

import os
import subprocess
import sys

import pytest

from libs.common.config import ConfigurationError, load
from services.auth.settings import Settings
from services.auth.tests.conftest import SETTINGS

COMPLETE = {
    "DATABASE_URL": "postgresql://localhost/auth",
    "AMQP_URL": "amqp://localhost/",
    "REVOCATION_LIST_TOKEN": "Jd8s0-kKq2LmZ7rT5vYxW3cB9nH4fGpA1u",  # pragma: allowlist secret
    "NOTIFY_PUBLIC_KEY": "x",
    "AUTH_SECRET": SETTINGS["AUTH_SECRET"],
    "LUMIERE_ORIGIN": "https://lumiere.film",
}


@pytest.mark.parametrize("environment", ["development", "production"])
def test_outside_of_tests_a_bcrypt_cost_under_12_refuses_the_start(environment: str) -> None:
    environ = {**COMPLETE, "LUMIERE_ENV": environment}
    assert load(Settings, environ).bcrypt_rounds == 12
    assert load(Settings, {**environ, "BCRYPT_ROUNDS": "12"}).bcrypt_rounds == 12
    with pytest.raises(ConfigurationError, match="at least 12"):
        load(Settings, {**environ, "BCRYPT_ROUNDS": "11"})


@pytest.mark.parametrize("secret", ["", "Qm5x-2vR8tLk_Zy7wB4nC6dFhJpS9gU", "change-me-change-me-change-me-change-me"])
def test_a_missing_short_or_placeholder_secret_refuses_the_start_and_is_not_repeated(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="AUTH_SECRET") as refusal:
        load(Settings, {**COMPLETE, "AUTH_SECRET": secret})
    assert not secret or secret not in str(refusal.value)


def test_a_secret_of_32_characters_is_enough() -> None:
    assert load(Settings, {**COMPLETE, "AUTH_SECRET": "Qm5x-2vR8tLk_Zy7wB4nC6dFhJpS9gUa"}).auth_secret


@pytest.mark.parametrize(
    ("name", "field", "default", "limits"),
    [("REFRESH_DAYS", "refresh_days", 30, (1, 90)), ("SESSION_DAYS", "session_days", 90, (1, 365))],
)
def test_sessions_last_so_many_days(name: str, field: str, default: int, limits: tuple[int, int]) -> None:
    assert getattr(load(Settings, COMPLETE), field) == default
    for allowed in limits:
        assert getattr(load(Settings, {**COMPLETE, name: str(allowed)}), field) == allowed
    for beyond in (limits[0] - 1, limits[1] + 1):
        with pytest.raises(ConfigurationError, match=name):
            load(Settings, {**COMPLETE, name: str(beyond)})


def test_password_threads_are_nicer_than_their_process_whatever_that_is() -> None:
    code = (
        "import os, threading; from services.auth.adapters.passwords import be_nice; os.nice(12); be_nice();"
        "print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert int(done.stdout) == min(19, min(19, own + 12) + 5)
