"""How an operator says with which providers people may sign in."""

import json
from pathlib import Path
from typing import Any

import pytest

from libs.common.config import ConfigurationError, load
from services.auth.settings import Settings
from services.auth.tests.test_settings import COMPLETE

STUDIO = {"name": "studio", "label": "Studio account", "issuer": "https://id.example.org/realm", "client_id": "lumiere"}
SECRET = "a secret of the studio"


def loaded(*providers: dict[str, Any], **environ: str) -> Settings:
    return load(Settings, {**COMPLETE, "OIDC_PROVIDERS": json.dumps(providers), **environ})


@pytest.mark.parametrize("text", [None, "", "[]"])
def test_without_providers_nobody_else_signs_people_in(text: str | None) -> None:
    environ = COMPLETE if text is None else {**COMPLETE, "OIDC_PROVIDERS": text}
    assert load(Settings, environ).oidc_providers == ()


def test_a_provider_is_read_with_its_secret_from_a_file_and_sent_to_one_address(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    settings = loaded({**STUDIO, "client_secret_file": str(file)}, LUMIERE_ORIGIN="https://lumiere.example")
    provider = settings.oidc_providers[0].described(settings.lumiere_origin)
    assert provider.client_secret == SECRET
    assert provider.redirect_uri == "https://lumiere.example/oauth/callback/studio"
    assert SECRET not in repr(provider)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Studio"},
        {"name": "a/b"},
        {"name": ""},
        {"label": ""},
        {"issuer": "http://id.example.org"},
        {"issuer": "https://id.example.org/?tenant=1"},
        {"issuer": "ftp://id.example.org"},
        {"client_id": ""},
        {"algorithms": []},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"client_secret_file": "/nowhere/at/all"},
        {"scopes": "openid"},
    ],
)
def test_a_provider_that_cannot_be_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="OIDC_PROVIDERS"):
        loaded({**STUDIO, **change})


def test_two_of_a_name_and_what_is_no_list_are_refused_and_no_secret_is_repeated() -> None:
    with pytest.raises(ConfigurationError, match="a name of its own"):
        loaded(STUDIO, STUDIO)
    with pytest.raises(ConfigurationError, match="OIDC_PROVIDERS") as refusal:
        load(Settings, {**COMPLETE, "OIDC_PROVIDERS": f'{{"client_secret": "{SECRET}"}}'})
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"])
def test_without_tls_a_provider_is_on_this_machine_and_not_in_production(issuer: str) -> None:
    assert loaded({**STUDIO, "issuer": issuer}).oidc_providers
    with pytest.raises(ConfigurationError, match="https://"):
        loaded({**STUDIO, "issuer": issuer}, LUMIERE_ENV="production", LUMIERE_ORIGIN="https://lumiere.example")
    with pytest.raises(ConfigurationError, match="https://"):
        loaded({**STUDIO, "issuer": "http://127.0.0.1.example.org"})
