"""Compiling in a process of its own: what it is handed, what it answers, and what becomes of one that does not."""

import sys
from pathlib import Path

import pytest

from gateway.control import Compiling, guarded
from gateway.current import CompilationRefused, KeySetRefused
from gateway.delegated import DelegatingGateway
from gateway.discovery import KnownTargets
from gateway.door import Targets
from gateway.folder import Folder
from gateway.settings import GatewaySettings
from gateway.tests.controlled import ended
from gateway.tests.running import RunningGateway, eventually
from gateway.tests.site import variables
from libs.common.config import load
from tests.certificates import certificate

KEY_SET = {"keys": [RunningGateway.key_of_tests().as_dict(private=False)]}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the child reads its settings from, as this process does."""
    found = variables(tmp_path / "gateway", GATEWAY_CERTIFICATE=str(certificate(tmp_path).server))
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def gateway(environment: dict[str, str], targets: Targets, *command: str, seconds: float = 60) -> DelegatingGateway:
    """As the control process has it, or with another program in the child's place."""
    settings = load(GatewaySettings, environment)
    folder = Folder(settings.gateway_folder)
    if not command:
        return DelegatingGateway(settings.door(), folder, KnownTargets(targets))
    return DelegatingGateway(settings.door(), folder, KnownTargets(targets), command=command, seconds=seconds)


def says(text: str) -> tuple[str, ...]:
    """A program that answers this."""
    return (sys.executable, "-c", f"print({text!r})")


def test_another_process_puts_keys_and_policy_in_force_and_tells_what_came_of_it(environment: dict[str, str]) -> None:
    delegating = gateway(environment, {"tasks": {"web": ["127.0.0.1:8001"]}})

    assert delegating.take_keys(KEY_SET)
    first = delegating.folder.current_release()
    assert not delegating.compile()
    assert not delegating.take_keys(KEY_SET)

    assert dict(delegating.compiles) == {"in_force": 1, "unchanged": 1}
    assert delegating.current
    assert first == delegating.folder.current_release()
    assert "127.0.0.1:8001" in (delegating.folder.current / "haproxy.cfg").read_text(encoding="utf-8")
    assert delegating.key_ids == ["key-one"]
    delegating.withdraw_key("key-one")
    assert delegating.key_ids == []
    assert list(delegating.expiries) == [Path(environment["GATEWAY_CERTIFICATE"]).name]


def test_what_another_process_refuses_is_counted_with_its_reason_and_what_was_in_force_stays(
    environment: dict[str, str],
) -> None:
    delegating = gateway(environment, {"tasks": {"web": ["127.0.0.1:1 backup"]}})

    with pytest.raises(CompilationRefused, match="TargetError: targets of tasks web must be host:port"):
        delegating.compile()

    assert dict(delegating.compiles) == {"refused": 1}
    assert not delegating.current
    assert delegating.folder.current_release() is None


def test_what_is_no_key_set_is_not_kept_and_counts_as_no_compilation(environment: dict[str, str]) -> None:
    delegating = gateway(environment, {})

    with pytest.raises(KeySetRefused, match="key"):
        delegating.take_keys({"keys": [{"kty": "EC", "crv": "P-256", "kid": "a"}]})

    assert delegating.key_set_kept == {}
    assert not delegating.compiles
    assert delegating.current


def test_a_process_that_hangs_is_ended_and_one_that_fails_without_a_word_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told = tmp_path / "its own child"
    hanging = gateway(environment, {}, "sh", "-c", f"sleep 60 & echo $! > '{told}'; wait", seconds=1)
    failing = gateway(environment, {}, sys.executable, "-c", "import sys; sys.exit(7)")

    with pytest.raises(CompilationRefused, match="not done within 1 s"):
        hanging.compile()
    with pytest.raises(CompilationRefused, match="ended with 7"):
        failing.compile()

    assert eventually(lambda: ended(int(told.read_text(encoding="utf-8"))))
    assert (hanging.current, failing.current) == (False, False)


def test_a_refusal_is_tried_again_after_a_while_and_not_at_every_look(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = gateway(environment, {}, *says('{"outcome": "refused", "reason": "not today"}'))
    compiling = Compiling(refusing)
    for pause, counted in ((60, 1), (60, 1), (0, 2), (60, 2)):
        monkeypatch.setattr("gateway.limits.COMPILE_AGAIN_SECONDS", pause)
        compiling.look()
        assert refusing.compiles["refused"] == counted
    refusing.withdraw_key("key-one")

    compiling.look()

    assert refusing.compiles["refused"] == 3


def test_keys_that_come_are_compiled_once_with_everything_else(environment: dict[str, str]) -> None:
    changing = gateway(environment, {}, *says('{"outcome": "in_force"}'))
    compiling = Compiling(changing)

    compiling.take_keys(KEY_SET)
    compiling.look()

    assert dict(changing.compiles) == {"in_force": 1}


def test_a_failure_that_is_foreseen_never_ends_the_control_process(environment: dict[str, str]) -> None:
    assert not guarded("compile", gateway(environment, {}, "/nonexistent/program").compile)
