"""Without what it needs a process does not start: it says which variables, never what they hold."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gateway.settings import GatewaySettings
from libs.common.config import ConfigurationError, Settings, load, variables
from libs.common.events.personal import generate_key_pair
from libs.common.ids import random_token
from ops.declarations import services
from ops.settings import ROOT

AT_ONCE = 2
WITHIN_SECONDS = 60
PRIVATE_KEY, PUBLIC_KEY = generate_key_pair()
PASSWORD = "word-of-the-database"  # pragma: allowlist secret
CLASSES: Mapping[str, type[Settings]] = {
    **{f"services.{service.name}": service.settings for service in services(ROOT)},
    "gateway": GatewaySettings,
}
SECRETS = {
    "AUTH_SECRET": random_token(),
    "REVOCATION_LIST_TOKEN": random_token(),
    "STORAGE_SECRET": random_token(),
    "GATEWAY_SECRET": random_token(),
    "NOTIFY_PRIVATE_KEY": PRIVATE_KEY,
}
COMPLETE = {
    **SECRETS,
    "DATABASE_URL": f"postgresql://lumiere:{PASSWORD}@127.0.0.1:9/lumiere",
    "AMQP_URL": f"amqp://lumiere:{PASSWORD}@127.0.0.1:9/",
    "NOTIFY_PUBLIC_KEY": PUBLIC_KEY,
    "STORAGE_FOLDER": "/nonexistent/storage",
    "GATEWAY_FOLDER": "/nonexistent/gateway",
    "LOG_ORIGIN": "lumiere.film/log/tests",
    "LOG_SIGNING_KEY": "PRIVATE+KEY+lumiere.film/log/tests+0+AA==",
}
SHORT = random_token()[:31]


@dataclass(frozen=True)
class Refused:
    """How a process ended that was to start."""

    status: int
    words: str


def start(module: str, environ: Mapping[str, str], command: str = "web") -> Refused:
    """Start a process with this environment alone, and wait until it ends by itself."""
    words = [sys.executable, "-m", module, "control" if module == "gateway" else command]
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ}
    done = subprocess.run(words, env=clean, capture_output=True, text=True, timeout=WITHIN_SECONDS, cwd=ROOT, check=False)
    return Refused(done.returncode, done.stdout + done.stderr)


def required(settings: type[Settings]) -> list[str]:
    """The variables without which nothing starts."""
    return [each.name for each in variables(settings) if each.required]


@pytest.fixture(scope="module")
def without_anything() -> Iterator[dict[str, Refused]]:
    """Every program, started with an empty environment; two at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield dict(zip(CLASSES, pool.map(lambda module: start(module, {}), CLASSES), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("module", CLASSES)
def test_a_process_without_anything_names_every_variable_that_it_needs(
    without_anything: dict[str, Refused], module: str
) -> None:
    refused, needed = without_anything[module], required(CLASSES[module])
    assert refused.status == (1 if module == "gateway" else 2), refused.words
    assert [name for name in needed if f"{name} is required" not in refused.words] == []
    assert ("DATABASE_URL" in needed) is (module != "gateway")
    assert "Traceback" not in refused.words


@pytest.mark.parametrize("module", CLASSES)
def test_each_required_variable_alone_keeps_it_from_starting(module: str) -> None:
    for name in required(CLASSES[module]):
        environ = {other: value for other, value in COMPLETE.items() if other != name}
        with pytest.raises(ConfigurationError) as refused:
            load(CLASSES[module], environ)
        assert f"{name} is required" in str(refused.value)
        assert [secret for secret in (*SECRETS.values(), PASSWORD) if secret in str(refused.value)] == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("change-me-" * 4, "AUTH_SECRET still holds the placeholder"),
        pytest.param(SHORT, "AUTH_SECRET must have at least 32 characters", id="too short"),
        ("k" * 40, "AUTH_SECRET is a placeholder"),
        (None, "AUTH_SECRET is required"),
    ],
)
def test_auth_does_not_start_with_a_secret_that_is_none_and_shows_it_to_nobody(secret: str | None, words: str) -> None:
    complete = {name: COMPLETE[name] for name in required(CLASSES["services.auth"]) if name != "AUTH_SECRET"}
    refused = start("services.auth", complete | ({"AUTH_SECRET": secret} if secret else {}))
    assert (refused.status, words in refused.words) == (2, True), refused.words
    assert [each for each in (secret, *SECRETS.values(), PASSWORD) if each and each in refused.words] == []


@pytest.mark.long
@pytest.mark.parametrize("command", ["web", "worker", "migrate", "archive"])
def test_whatever_a_service_is_started_for_it_needs_its_database(command: str) -> None:
    environ = {name: COMPLETE[name] for name in required(CLASSES["services.tasks"]) if name != "DATABASE_URL"}
    refused = start("services.tasks", environ, command)
    assert (refused.status, "DATABASE_URL is required" in refused.words) == (2, True), refused.words
