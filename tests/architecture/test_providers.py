"""What a service may be told of its providers reaches it, from the operator's shell and in containers."""

from collections.abc import Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from libs.common.config import Settings
from ops.settings import Advising, Identity, Keeping, Mailing, PassedOn, Paying
from tests.architecture.declared import services
from tests.architecture.source import ROOT

FILES = (ROOT / "deploy" / "compose.yml", ROOT / "deploy" / "s3.yml")
"""The platform, and the overlay that brings it a bucket."""
HANDED: Mapping[str, type[Settings]] = {
    "notify": Mailing,
    "media": Keeping,
    "payments": Paying,
    "tasks": Advising,
    "auth": Identity,
}
"""What an operator's shell hands to one service."""
CONTAINERS: Mapping[str, tuple[type[Settings], tuple[str, ...]]] = {
    "notify": (Mailing, ("notify-migrate", "notify", "notify-worker", "notify-stream")),
    "media": (Keeping, ("media-migrate", "media", "media-worker")),
    "payments": (Paying, ("payments-migrate", "payments", "payments-worker")),
    "tasks": (Advising, ("tasks-worker",)),
}
"""Which containers use a provider, or refuse to start without it. Only a worker asks the model."""


def environment(compose: dict[str, Any], container: str) -> set[str]:
    """The variables of a container, those that are files without their ending."""
    return {name.removesuffix("_FILE") for name in compose["services"][container]["environment"]}


def unknown(handed: type[Settings], service: str) -> list[str]:
    """Variables that are handed to a service which does not read them."""
    settings = next(each.settings for each in services() if each.name == service)
    return [name for name in handed.model_fields if name not in settings.model_fields]


def missing(compose: dict[str, Any], service: str) -> list[str]:
    """Containers that are not told a variable of their provider, or do not see the file that holds it."""
    kind, containers = CONTAINERS[service]
    found = []
    for name in containers:
        told, block = environment(compose, name), compose["services"][name]
        found += [f"{name}: {each.upper()}" for each in kind.model_fields if each.upper() not in told]
        files = [each.removesuffix("_FILE") for each in block["environment"] if each.endswith("_FILE")]
        found += [f"{name}: no file {each}" for each in files if not any(each in secret for secret in block["secrets"])]
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The containers with a bucket: an overlay adds to what a container has, list by list and name by name."""
    merged: dict[str, dict[str, Any]] = {}
    for file in FILES:
        for name, block in YAML(typ="safe").load(file.read_text(encoding="utf-8"))["services"].items():
            known = merged.setdefault(name, {"environment": {}, "secrets": [], "networks": []})
            known["environment"] |= block.get("environment", {})
            known["secrets"] += block.get("secrets", [])
            known["networks"] += block.get("networks", [])
    return {"services": merged}


@pytest.mark.parametrize("service", HANDED)
def test_what_is_handed_on_is_read(service: str) -> None:
    assert unknown(HANDED[service], service) == []


@pytest.mark.parametrize("service", [service.name for service in services()])
def test_what_every_service_is_handed_is_read_by_every_service(service: str) -> None:
    assert unknown(PassedOn, service) == []


@pytest.mark.parametrize("service", CONTAINERS)
def test_containers_are_told_of_their_providers(compose: dict[str, Any], service: str) -> None:
    assert missing(compose, service) == []


def test_whoever_asks_somebody_outside_has_a_way_out(compose: dict[str, Any]) -> None:
    asking = ("notify-worker", "media", "media-worker", "tasks-worker")
    assert [name for name in asking if "egress" not in compose["services"][name]["networks"]] == []


def test_every_container_of_a_service_may_be_allowed_a_stand_in_and_may_report_its_errors(compose: dict[str, Any]) -> None:
    names = [name for name in compose["services"] if name.partition("-")[0] in {service.name for service in services()}]
    told = {name: environment(compose, name) for name in names}
    assert [name for name in names if not {"MOCK_PROVIDERS", "SENTRY_DSN"} <= told[name]] == []


def test_a_provider_that_was_forgotten_is_noticed() -> None:
    planted = {"services": {"tasks-worker": {"environment": {"ANTHROPIC_API_KEY_FILE": "x"}, "secrets": ["OTHER"]}}}
    assert missing(planted, "tasks") == [
        "tasks-worker: ANTHROPIC_MODEL",
        "tasks-worker: ANTHROPIC_ENDPOINT",
        "tasks-worker: no file ANTHROPIC_API_KEY",
    ]
