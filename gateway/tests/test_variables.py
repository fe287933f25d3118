"""HAProxy takes a rule that reads a variable nobody sets, and the rule then never applies: a guard that is silently open."""

import re

import pytest

from gateway.compiler import compile_configuration
from gateway.keys import verification_keys
from gateway.manifest import manifest_paths, read
from gateway.tests.running import RunningGateway
from gateway.tests.test_compiler import DOOR, TODAY

_VARIABLE = re.compile(r"\b(?:sess|txn|req|res)\.[a-z_]+\b(?!\()")
_SET = re.compile(r"set-var(?:-fmt)?\(([a-z]+\.[a-z_]+)\)")
# HAProxy's own fetches are written alike, with or without brackets.
_FETCHES = {"req.ver", "req.hdrs", "req.len", "req.body_len", "res.ver", "txn.status"}


def unset(configuration: str) -> set[str]:
    """The variables that a rule reads and none sets."""
    text = "\n".join(line for line in configuration.splitlines() if not line.lstrip().startswith("#"))
    return set(_VARIABLE.findall(text)) - set(_SET.findall(text)) - _FETCHES


@pytest.fixture(scope="module")
def configuration() -> str:
    declared = read(manifest_paths())
    keys = verification_keys({"keys": [RunningGateway.key_of_tests().as_dict(private=False)]})
    return compile_configuration(declared, DOOR, keys, {}, TODAY, declared)["haproxy.cfg"].decode()


def test_every_variable_that_a_rule_reads_is_set_by_a_rule(configuration: str) -> None:
    assert len(set(_SET.findall(configuration))) > 50
    assert unset(configuration) == set()


@pytest.mark.parametrize("rule", ["deny if { var(txn.claims) -m found }", "set-header X %[var(txn.age),sub(req.then)]"])
def test_a_planted_rule_that_reads_what_nobody_sets_is_found(rule: str, configuration: str) -> None:
    assert unset(f"{configuration}\n  http-request {rule}\n") & {"txn.claims", "req.then"}
