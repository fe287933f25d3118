"""What orchestrators are given: nothing of compose.yml is lost on the way, everything named is there, nobody has too much."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from libs.common.events.topology import GATEWAY
from ops.audit import manifests
from ops.audit.outcome import State
from ops.errors import OperationError
from ops.orchestration import kubernetes, swarm
from ops.orchestration.composed import CONTROL, SERVERS, Composed, Platform, read, variables, with_defaults
from ops.settings import ROOT

PLATFORM = read()
FOLDER = ROOT / "deploy" / "kubernetes"
OURS = [document for documents in kubernetes.files(PLATFORM).values() for document in documents]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [each for each in OURS if each.get("kind") in kinds]


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and pod of everything that runs, the servers of `servers/` too."""
    written = [each for path in (FOLDER / "servers").glob("*.yaml") for each in yaml.safe_load_all(path.read_text())]
    for each in [*OURS, *written]:
        if each.get("kind") in {"Deployment", "StatefulSet", "Job"}:
            pod = each["spec"]["template"]
            claimed = [{"name": claim["metadata"]["name"]} for claim in each["spec"].get("volumeClaimTemplates", [])]
            yield each["metadata"]["name"], pod | {"spec": pod["spec"] | {"volumes": pod["spec"]["volumes"] + claimed}}


# -- from compose


def test_every_service_of_compose_is_in_both_orchestrators() -> None:
    ours = {container["name"] for _, pod in templates() for container in pod["spec"]["containers"]}

    assert swarm.stack(PLATFORM)["services"].keys() == PLATFORM.services.keys()
    assert PLATFORM.services.keys() <= ours


def test_a_word_of_compose_that_no_orchestrator_was_taught_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "compose.yml"
    planted.write_text("services: {one: {image: a, privileged: true}, two: {image: b, oom_score_adj: 1, profiles: [x]}}\n")

    with pytest.raises(OperationError, match="one: privileged is not known"):
        read(planted)


def test_what_an_operator_may_set_keeps_its_name_and_default() -> None:
    assert variables("http://${HOST_NAME:-a}:${PORT:-}/${X-y}$$") == {"HOST_NAME": "a", "PORT": "", "X": "y"}
    assert with_defaults("http://${HOST_NAME:-a}:${PORT:-}/$$") == "http://a:/$"
    settings = of_kind("ConfigMap")[0]["data"]
    assert settings["LUMIERE_ENV"] == "development"


# -- Kubernetes


def test_everything_that_a_container_reads_is_there() -> None:
    settings = of_kind("ConfigMap")[0]["data"]
    listed = yaml.safe_load((FOLDER / "secrets" / "kustomization.yaml").read_text())["secretGenerator"][0]["files"]
    secrets = {name.removeprefix("files/") for name in listed}
    for name, pod in templates():
        volumes = {each["name"] for each in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {each["name"] for each in container["volumeMounts"]} <= volumes, name
            for variable in container.get("env", []):
                given = variable.get("valueFrom", {})
                assert given.get("configMapKeyRef", {}).get("key", "LUMIERE_ENV") in settings, (name, variable)
                assert given.get("secretKeyRef", {}).get("key", kubernetes.COOKIE) in secrets, (name, variable)
        for volume in pod["spec"]["volumes"]:
            assert {item["key"] for item in volume.get("secret", {}).get("items", [])} <= secrets, name


def test_a_process_mounts_its_own_secrets_and_no_others() -> None:
    for each in PLATFORM.processes:
        if each.name in {GATEWAY, CONTROL}:
            continue
        pod = dict(templates())[each.name]
        mounted = next(volume["secret"]["items"] for volume in pod["spec"]["volumes"] if volume["name"] == "secrets")
        assert {item["path"] for item in mounted} == set(each.secrets)


def test_nobody_runs_as_root_or_with_more_than_they_need() -> None:
    writes_its_own_root = {"rabbitmq"}
    for name, pod in templates():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context.get("readOnlyRootFilesystem") or name in writes_its_own_root, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"]["cpu"], name


def test_whatever_stays_says_when_it_is_ready_and_may_not_all_be_taken_at_once() -> None:
    budgets = {each["spec"]["selector"]["matchLabels"][kubernetes.NAME] for each in of_kind("PodDisruptionBudget")}
    for each in of_kind("Deployment", "StatefulSet"):
        assert each["metadata"]["name"] in budgets
        for container in each["spec"]["template"]["spec"]["containers"]:
            assert "readinessProbe" in container
            if container["name"] != CONTROL:
                assert {"startupProbe", "livenessProbe"} <= container.keys()


def test_who_is_on_a_network_of_compose_may_speak_there_and_nowhere_else() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}

    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert PLATFORM.raw["networks"].keys() <= policies.keys()
    for each in PLATFORM.services.values():
        labels = dict(templates())[GATEWAY if each.name == CONTROL else each.name]["metadata"]["labels"]
        for network in each.networks:
            if each.name not in SERVERS or network != "egress":
                assert labels[f"{kubernetes.NETWORK}/{network}"] == "true", each.name


def test_every_queue_of_a_worker_has_a_say_in_how_many_there_are() -> None:
    scaled = {each["metadata"]["name"]: each["spec"]["triggers"] for each in of_kind("ScaledObject")}

    assert "ledger-worker" in scaled
    assert "ledger.every.event.q2" in [trigger["metadata"]["queueName"] for trigger in scaled["ledger-worker"]]
    unnumbered = {each["target"]["name"] for each in of_kind("Component")[0]["patches"] if "target" in each}
    assert unnumbered == {*scaled, *(each["metadata"]["name"] for each in of_kind("HorizontalPodAutoscaler"))}


def test_every_image_that_runs_is_named_by_the_overlay() -> None:
    named = {
        image["name"]
        for overlay in manifests.OVERLAYS
        for image in yaml.safe_load((FOLDER / "overlays" / overlay / "kustomization.yaml").read_text())["images"]
    }
    ours = {with_defaults(each.image).rpartition(":")[0] for each in PLATFORM.services.values() if each.name not in SERVERS}

    assert named == ours


# -- Swarm


def test_a_new_release_is_ready_before_the_old_one_ends_and_is_taken_back_when_it_fails() -> None:
    for name, each in swarm.stack(PLATFORM)["services"].items():
        deploy = each["deploy"]
        if PLATFORM.services[name].once:
            assert (deploy["mode"], deploy["restart_policy"]["condition"]) == ("replicated-job", "on-failure")
            continue
        assert deploy["update_config"]["failure_action"] == "rollback"
        order = "stop-first" if name in {*SERVERS, GATEWAY, CONTROL} else "start-first"
        assert (deploy["update_config"]["order"], deploy["rollback_config"]["order"]) == (order, order)


def test_a_config_with_another_content_has_another_name_and_secrets_have_versions() -> None:
    stack = swarm.stack(PLATFORM)

    assert stack["secrets"]["AUTH_SECRET"]["name"] == "lumiere_AUTH_SECRET_${SECRETS_VERSION:-1}"
    names = [each["name"] for each in stack["configs"].values()]
    assert len(set(names)) == len(names)
    assert all(len(name.rpartition("_")[2]) == swarm.DIGEST for name in names)


def test_the_door_is_published_past_the_mesh_that_hides_who_asks() -> None:
    published = {name: each["ports"] for name, each in swarm.stack(PLATFORM)["services"].items() if "ports" in each}

    assert published.keys() == {GATEWAY}
    assert {port["mode"] for port in published[GATEWAY]} == {"host"}


def test_shared_memory_and_temporary_folders_become_mounts() -> None:
    one = Composed("one", {"image": "a", "tmpfs": ["/tmp", "/run/x:uid=1"], "shm_size": "256m", "networks": ["data"]})  # noqa: S108
    raw = {"networks": {"data": None}, "volumes": {}}
    made = swarm.stack(Platform({"one": one}, raw))["services"]["one"]

    assert [(each["target"], each["tmpfs"]) for each in made["volumes"]] == [
        ("/tmp", {"mode": 0o1777}),  # noqa: S108
        ("/run/x", {"mode": 0o1777}),
        ("/dev/shm", {"size": 256 * 1024 * 1024}),  # noqa: S108
    ]


# -- the audit


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


BUILT = "printf 'apiVersion: v1\\nkind: Secret\\n'"


@pytest.mark.parametrize(
    ("kubectl", "validate", "state"),
    [
        (BUILT, "echo 'INFO x passed'", State.PASSED),
        (BUILT, "echo 'INFO x passed'; echo 'ERROR x is no such thing'; exit 1", State.FAILED),
        (BUILT, "echo 'INFO y passed'; echo \"WARN x Couldn't find schema for kind Gadget\"", State.FAILED),
        (BUILT, "echo 'INFO y passed'; echo \"WARN x Couldn't find schema for kind ScaledObject\"", State.PASSED),
        (BUILT, "true", State.FAILED),
        ("echo 'no such file' >&2; exit 1", "echo 'INFO x passed'", State.FAILED),
    ],
)
def test_the_audit_tells_what_kubernetes_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kubectl: str, validate: str, state: State
) -> None:
    fake(tmp_path, "kubectl", kubectl)
    fake(tmp_path, "kubernetes-validate", validate)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name) if name == "kubectl" else None)

    assert manifests.manifests(ROOT, tmp_path).state is state


def test_without_kubectl_nothing_is_called_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    assert manifests.manifests(ROOT, tmp_path).state is State.NOT_CHECKED
