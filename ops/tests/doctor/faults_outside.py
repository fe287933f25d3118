"""Faults of the edge, of files and of containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import httpx

from libs.common import clock
from ops.doctor.box import Target
from ops.doctor.engine import Engine
from ops.secrets import register
from ops.tests.doctor.planting import changed, fault
from ops.tests.doctor.stage import (
    ORIGIN,
    SECURE,
    EngineOfOne,
    Stage,
    commit,
    git,
    keep_backup,
    put_under_version_control,
    write_secret,
)

# ---- the edge


@fault("https", "the certificate is not believed: self-signed certificate")
def a_certificate_that_nobody_believes(stage: Stage) -> Iterator[None]:
    with changed(stage, "other_end", replace(stage.other_end, disbelief="self-signed certificate")):
        yield


@fault("certificate", "it ends in 13 days")
def a_certificate_that_nobody_renewed(stage: Stage) -> Iterator[None]:
    with changed(stage, "other_end", replace(stage.other_end, ends=clock.now() + timedelta(days=13, hours=1))):
        yield


@fault("https-redirect", "is answered 200, to nowhere")
def a_plain_port_that_answers_itself(stage: Stage) -> Iterator[None]:
    with changed(stage, "plain", httpx.Response(200)):
        yield


@fault("hsts", "the header is max-age=300")
def browsers_that_soon_forget(stage: Stage) -> Iterator[None]:
    with changed(stage, "other_answer", (200, {**SECURE, "strict-transport-security": "max-age=300"}, "{}")):
        yield


@fault("security-headers", "content-security-policy is script-src 'unsafe-inline'")
def a_policy_that_lets_scripts_in(stage: Stage) -> Iterator[None]:
    loose = {**SECURE, "content-security-policy": "script-src 'unsafe-inline'"}
    with changed(stage, "other_answer", (200, loose, "{}")):
        yield


@fault("refusals", "a request without a token is answered 200 instead of 401")
def a_door_that_asks_nobody(stage: Stage) -> Iterator[None]:
    with changed(stage.answers, "/api/v1/auth/sessions", (200, SECURE, "[]")):
        yield


@fault("inner-doors", "/metrics is answered 200")
def figures_for_everybody(stage: Stage) -> Iterator[None]:
    with changed(stage.answers, "/metrics", (200, SECURE, "lumiere_outbox_depth 1")):
        yield


@fault("maintenance", "auth says that the platform is being maintained")
def a_door_that_is_shut(stage: Stage) -> Iterator[None]:
    with changed(stage.numbers, "maintenance", 1.0):
        yield


@fault("clock-gateway", "behind this machine")
def a_gateway_in_the_past(stage: Stage) -> Iterator[None]:
    status, _, body = stage.answers["/api/v1/proofs/checkpoint"]
    with changed(stage.answers, "/api/v1/proofs/checkpoint", (status, {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}, body)):
        yield


@fault("oidc-issuers", "studio has a plain issuer")
def a_provider_without_tls(stage: Stage) -> Iterator[None]:
    with secret(stage, "OIDC_PROVIDERS", '[{"name": "studio", "issuer": "http://id.example.org"}]'):
        yield


# ---- secrets and backups


@contextmanager
def secret(stage: Stage, name: str, value: str) -> Iterator[None]:
    """Another content of a secret file."""
    assert stage.secrets is not None
    before = (stage.secrets / name).read_text(encoding="utf-8")
    write_secret(stage.secrets, name, value)
    yield
    write_secret(stage.secrets, name, before)


@fault("auth-secret", "GATEWAY_SECRET holds the same value")
def a_secret_that_is_used_twice(stage: Stage) -> Iterator[None]:
    assert stage.secrets is not None
    with secret(stage, "GATEWAY_SECRET", (stage.secrets / "AUTH_SECRET").read_text(encoding="utf-8")):
        yield


@fault("secrets-distinct", "STORAGE_SECRET must have at least 32 characters")
def a_secret_that_is_short(stage: Stage) -> Iterator[None]:
    with secret(stage, "STORAGE_SECRET", "short"):
        yield


@fault("secret-files", "AUTH_SECRET is open to others")
def a_secret_that_others_read(stage: Stage) -> Iterator[None]:
    assert stage.secrets is not None
    path = stage.secrets / "AUTH_SECRET"
    path.chmod(0o644)
    yield
    path.chmod(0o600)


@fault("secrets-fresh", "AUTH_SECRET was set 91 days ago")
def a_secret_that_nobody_rotated(stage: Stage) -> Iterator[None]:
    assert stage.secrets is not None
    register.note(stage.secrets, ["AUTH_SECRET"], clock.now() - timedelta(days=91, hours=1))
    yield
    register.note(stage.secrets, ["AUTH_SECRET"], clock.now())


@fault("backups-fresh", "none was ever restored for trial")
def backups_that_nobody_tried(stage: Stage) -> Iterator[None]:
    assert stage.backups is not None
    keep_backup(stage.backups, clock.now(), verified=False)
    yield
    keep_backup(stage.backups, clock.now(), verified=True)


@contextmanager
def a_repository(stage: Stage) -> Iterator[None]:
    put_under_version_control(stage.root)
    yield


@fault("no-env-file", "services/.env is committed", around=a_repository)
def an_environment_file_in_the_repository(stage: Stage) -> Iterator[None]:
    path = stage.root / "services" / ".env"
    path.parent.mkdir()
    path.write_text("AUTH_SECRET=x\n", encoding="utf-8")
    commit(stage.root, "services/.env")
    yield
    # To mend it for good is to take it out of the history.
    git(stage.root, "reset", "-q", "--hard", "HEAD~1")
    git(stage.root, "reflog", "expire", "--expire=now", "--all")


# ---- containers


def engine_of(stage: Stage) -> Engine:
    assert stage.engine is not None
    return stage.engine


@fault("containers-run", "tasks is unhealthy", Target.ENGINE)
def a_container_that_is_ill(stage: Stage) -> Iterator[None]:
    with changed(engine_of(stage).containers[0]["State"], "Health", {"Status": "unhealthy"}):
        yield


@fault("containers-user", "tasks runs as root", Target.ENGINE)
def a_container_of_root(stage: Stage) -> Iterator[None]:
    with changed(engine_of(stage).containers[0]["Config"], "User", "0:0"):
        yield


@fault("containers-read-only", "tasks can write its root", Target.ENGINE)
def a_container_that_changes_itself(stage: Stage) -> Iterator[None]:
    with changed(engine_of(stage).containers[0]["HostConfig"], "ReadonlyRootfs", False):
        yield


@fault("containers-capabilities", "tasks was given NET_ADMIN", Target.ENGINE)
def a_container_with_a_capability(stage: Stage) -> Iterator[None]:
    with changed(engine_of(stage).containers[0]["HostConfig"], "CapAdd", ["NET_ADMIN"]):
        yield


@fault("containers-ports", "postgres publishes 5432/tcp", Target.ENGINE)
def a_database_for_everybody(stage: Stage) -> Iterator[None]:
    published = {"5432/tcp": [{"HostPort": "5432"}]}
    with changed(engine_of(stage).containers[2]["HostConfig"], "PortBindings", published):
        yield


@fault("containers-secrets", "lumiere/tasks:1 holds SENTRY_DSN", Target.ENGINE)
def an_image_that_holds_a_secret(stage: Stage) -> Iterator[None]:
    engine = engine_of(stage)
    assert isinstance(engine, EngineOfOne)
    with changed(engine, "variables", [*engine.variables, f"SENTRY_DSN={ORIGIN}"]):
        yield
