"""The template of the environment: complete, and without anything that could be mistaken for a secret."""

import math
import re
from collections import Counter

import pytest
from pydantic import Field, SecretStr

from libs.common.config import ConfigurationError, Settings, load, variables, without
from ops import variables as rendering
from ops.declarations import services, settings_classes
from ops.settings import ROOT

CLASSES = settings_classes(services())
NEEDY = [name for name, cls in CLASSES.items() if name != rendering.VAULT and any(each.required for each in variables(cls))]
"""Who does not start without some variable. Vault is asked only where somebody says so."""
ASSIGNED = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
SECRET_NAMED = re.compile(r"SECRET|TOKEN|PASSWORD|PRIVATE|SIGNING_KEY$|API_KEY|DSN|DATABASE_URL|AMQP|REDIS_URL")
NO_SECRETS_BY_DECLARATION = {
    name for cls in CLASSES.values() for name in (each.name for each in variables(cls) if not each.secret and not each.required)
}
RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
"""How keys and tokens are written: no address, no sentence."""
ENTROPY_MAX = 3.5
"""Bits a character over which a value looks random; 32 random letters have more than four."""


def entropy(value: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values()) if value else 0.0


def suspicious(text: str) -> list[str]:
    """Names of the variables in a template whose value might be a secret."""
    declared = {each.name for cls in CLASSES.values() for each in variables(cls) if each.secret}
    found = []
    for name, value in ASSIGNED.findall(text):
        named = name in declared or (SECRET_NAMED.search(name) and name not in NO_SECRETS_BY_DECLARATION)
        random = RANDOM.fullmatch(value) is not None and entropy(value) > ENTROPY_MAX
        if (named and value not in {"", "change-me"}) or random:
            found.append(name)
    return found


@pytest.mark.parametrize("reader", sorted(CLASSES))
def test_every_setting_says_its_purpose_and_what_is_degraded_without_it(reader: str) -> None:
    silent = [
        each.name
        for each in variables(CLASSES[reader])
        if len(each.purpose) < 10 or (not each.required and each.default in (None, ()) and not each.without)
    ]

    assert not silent


def test_no_value_of_the_template_looks_like_a_secret() -> None:
    assert suspicious((ROOT / "deploy" / "env.template").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "AUTH_SECRET=k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa",  # pragma: allowlist secret
        "#SENTRY_DSN=https://k3vJ9pQ2@errors.example.org/1",
        "SOME_NEW_TOKEN=short",
        "LUMIERE_NICKNAME=k3vJ9pQ2xW7mZ4tB8nL5rY1cD6fH0sGa",  # pragma: allowlist secret
    ],
)
def test_a_planted_value_is_noticed(planted: str) -> None:
    assert suspicious(planted) == [planted.lstrip("#").partition("=")[0]]


def test_the_template_names_every_variable_of_every_reader() -> None:
    written = {name for name, _ in ASSIGNED.findall((ROOT / "deploy" / "env.template").read_text(encoding="utf-8"))}

    assert written == {each.name for cls in CLASSES.values() for each in variables(cls)}


@pytest.mark.parametrize("reader", NEEDY)
def test_nothing_starts_with_the_template_as_it_is(reader: str) -> None:
    text = (ROOT / "deploy" / "env.template").read_text(encoding="utf-8")
    environ = dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))

    with pytest.raises(ConfigurationError) as caught:
        load(CLASSES[reader], environ)

    required = {each.name for each in variables(CLASSES[reader]) if each.required}
    assert {name for name in required if f"{name} still holds the placeholder" in str(caught.value)} == required


def test_a_variable_is_told_once_for_those_who_mean_the_same_and_apart_for_others() -> None:
    class One(Settings):
        shared: str = Field(description="The same for both")
        url: SecretStr = Field(description="Where one goes")

    class Two(Settings):
        shared: str = Field(description="The same for both")
        url: SecretStr | None = Field(default=None, description="Where two goes", json_schema_extra=without("two stays"))

    found = rendering.sections({"one": One, "two": Two})

    assert [(each.variable.name, each.readers) for each in found[rendering.EVERY_SERVICE]] == [("SHARED", ("one", "two"))]
    assert [(each.variable.name, each.variable.without) for each in found["two"]] == [("URL", "two stays")]
    text = rendering.template({"one": One, "two": Two}, "Generated.")
    assert "URL=change-me\n" in text
    assert "# Without it: two stays.\n#URL=\n" in text
