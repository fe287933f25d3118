"""What notify's environment must hold."""

from pathlib import Path

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.events.personal import generate_key_pair
from libs.common.testing import Harness
from services.notify.adapters.mail import MailFolder
from services.notify.adapters.resend import ResendSender
from services.notify.adapters.smtp import SmtpSender
from services.notify.domain import MailSender
from services.notify.settings import Settings
from services.notify.tests.fake_resend import KEY


def test_the_keys_must_belong_together(harness: Harness) -> None:
    _, another = generate_key_pair()

    with pytest.raises(ConfigurationError, match="NOTIFY_PUBLIC_KEY must be the public key"):
        load(Settings, {**harness.environ, "NOTIFY_PUBLIC_KEY": another})


def test_a_private_key_that_is_none_is_refused_and_not_shown(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFY_PRIVATE_KEY must be an X25519 private key") as refused:
        load(Settings, {**harness.environ, "NOTIFY_PRIVATE_KEY": "no-key-at-all-but-of-the-right-length-1234567"})
    assert "no-key-at-all" not in str(refused.value)


def test_an_older_private_key_may_follow_the_newest(harness: Harness) -> None:
    older, _ = generate_key_pair()
    newest = harness.environ["NOTIFY_PRIVATE_KEY"]

    settings = load(Settings, {**harness.environ, "NOTIFY_PRIVATE_KEY": f"{newest} {older}"})

    assert settings.private_keys == [newest, older]


def production(harness: Harness, **given: str) -> Settings:
    """The settings of a platform that people rely on."""
    return load(Settings, {**harness.environ, "LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://lumiere.film", **given})


@pytest.mark.parametrize("given", [{}, {"MAIL_FOLDER": "/mail"}, {"MOCK_PROVIDERS": "mail"}, {"MOCK_PROVIDERS": "payments"}])
def test_production_requires_a_provider(harness: Harness, given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="RESEND_API_KEY or SMTP_URL is required in production"):
        production(harness, **given)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"RESEND_API_KEY": KEY}, ResendSender),
        ({"SMTP_URL": "smtps://lumiere:word@mail.example:465"}, SmtpSender),  # pragma: allowlist secret
        ({"MOCK_PROVIDERS": "payments, mail", "MAIL_FOLDER": "mail"}, MailFolder),
    ],
)
def test_in_production_mail_leaves_by_a_provider_or_by_a_stand_in_that_was_named(
    harness: Harness, given: dict[str, str], kind: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = production(harness, **given)
    assert type(harness.service.resources(settings, harness.database)[MailSender]) is kind


def test_two_ways_out_are_one_too_many(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="set one of them"):
        load(Settings, {**harness.environ, "RESEND_API_KEY": KEY, "SMTP_URL": "smtp://mail.example"})


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp://a b@mail.example"])
def test_a_mail_server_is_named_by_a_whole_address_that_is_not_shown(harness: Harness, url: str) -> None:
    with pytest.raises(ConfigurationError, match="SMTP_URL must look like") as refused:
        load(Settings, {**harness.environ, "SMTP_URL": url})
    assert url == "smtp://" or url not in str(refused.value)


@pytest.mark.parametrize("sender", ["", "Lumière", "a@b", "a@example.org, b@example.org", "@example.org"])
def test_mail_comes_from_exactly_one_address(harness: Harness, sender: str) -> None:
    if not sender:
        assert str(load(Settings, harness.environ).sender) == "Lumière <no-reply@lumiere.film>"
        return
    with pytest.raises(ConfigurationError, match="MAIL_FROM must be one address"):
        load(Settings, {**harness.environ, "MAIL_FROM": sender})


def test_a_stand_in_that_nobody_knows_is_refused(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="MOCK_PROVIDERS"):
        load(Settings, {**harness.environ, "MOCK_PROVIDERS": "mail,everything"})


def test_the_key_of_the_provider_goes_to_the_real_one_over_tls_alone(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="RESEND_ENDPOINT must begin with https://") as refused:
        production(harness, RESEND_API_KEY=KEY, RESEND_ENDPOINT="http://resend.example")
    assert KEY not in str(refused.value)
