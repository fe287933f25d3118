"""How an e-mail looks, and how it lands in the folder or the log."""

import email
import email.policy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import structlog

from libs.common.telemetry import configure_logs
from libs.common.testing import Harness
from services.notify.adapters.mail import LogSender, MailFolder, message_of
from services.notify.adapters.words import FOLDER, FileTemplates
from services.notify.domain import LOCALES, DeliveryRefused, EmailId, Mail, MailSender

MAIL = Mail(
    id=EmailId(UUID("018f0000-0000-7000-8000-0000000000aa")),
    requested_at=datetime(2026, 5, 4, 12, 30, 15, 250_000, tzinfo=UTC),
    template="VERIFY_EMAIL",
    locale="fr",
    recipient="ada@example.org",
    subject="Confirmez votre adresse",
    text="Bonjour Ada, voici : http://127.0.0.1:8080/verify-email?token=secret\n",
    html="<p>Bonjour Ada</p>\n",
)
VARIABLES: Mapping[str, str] = {
    "display_name": "Ada <b>&</b> Co",
    "link": "http://127.0.0.1:8080/x?a=1&b=2",
    "token": "t",
    "task_title": "<script>",
    "film_title": "Lune",
    "lumens": "10",
    "price": "50.00 EUR",
    "cancel_link": "http://127.0.0.1:8080/x?a=1&b=3",
    "new_address": "<script>@example.org",
    "notice": "PASSKEY_ADDED",
    "name": "<script>",
}


def test_an_email_is_one_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    MailFolder(tmp_path / "mail").send(MAIL)

    (file,) = (tmp_path / "mail").iterdir()
    assert file.name == "20260504T123015.250000Z-018f0000-0000-7000-8000-0000000000aa.eml"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (message["To"], message["Subject"], message["Content-Language"]) == (
        "ada@example.org",
        "Confirmez votre adresse",
        "fr",
    )
    assert message["Message-ID"] == f"<{MAIL.id}@lumiere.film>"
    text = message.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == MAIL.text.splitlines()


def test_a_long_link_stands_in_the_file_in_one_piece(tmp_path: Path) -> None:
    link = f"http://127.0.0.1:8080/verify-email?token={'x' * 120}"

    MailFolder(tmp_path).send(replace(MAIL, text=f"Bonjour Zoë :\n\n{link}\n"))

    (file,) = tmp_path.iterdir()
    assert link.encode() in file.read_bytes().splitlines()


def test_the_same_email_again_is_the_same_file(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path)

    folder.send(MAIL)
    folder.send(MAIL)

    assert len(list(tmp_path.iterdir())) == 1


def test_what_an_attempt_left_unfinished_is_replaced(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path)
    (tmp_path / ".20260504T123015.250000Z-018f0000-0000-7000-8000-0000000000aa.eml.part").write_bytes(b"half")

    folder.send(MAIL)

    (file,) = tmp_path.iterdir()
    assert b"Confirmez" in file.read_bytes()


def test_files_sort_by_the_time_of_the_request(tmp_path: Path) -> None:
    later = replace(MAIL, id=EmailId(UUID(int=1)), requested_at=MAIL.requested_at.replace(hour=13))
    folder = MailFolder(tmp_path)
    folder.send(later)
    folder.send(MAIL)

    assert [file.name[9:11] for file in sorted(tmp_path.iterdir())] == ["12", "13"]


def test_a_folder_that_is_gone_refuses_for_now(tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "mail")
    (tmp_path / "mail").rmdir()

    with pytest.raises(DeliveryRefused) as refused:
        folder.send(MAIL)
    assert (refused.value.error_class, refused.value.permanent) == ("FileNotFoundError", False)


@pytest.mark.parametrize(
    "recipient", ["", "ada", "ada@example.org\r\nBcc: eve@example.org", "ada@example.org, eve@example.org", "@"]
)
def test_a_false_address_is_refused_for_good(recipient: str) -> None:
    with pytest.raises(DeliveryRefused) as refused:
        message_of(replace(MAIL, recipient=recipient))
    assert (refused.value.error_class, refused.value.permanent) == ("AddressInvalid", True)


def test_an_address_in_another_script_is_kept() -> None:
    assert "дом@пример.example" in message_of(replace(MAIL, recipient="дом@пример.example"))["To"]


def logged(capsys: pytest.CaptureFixture[str], mail: Mail = MAIL, *, shows_links: bool = False) -> str:
    """The line that the log sender leaves, as operators see it."""
    configure_logs("notify", "worker")
    LogSender(shows_links=shows_links).send(mail)
    structlog.reset_defaults()
    return capsys.readouterr().err


def test_the_log_tells_of_an_email_with_a_masked_address_and_without_content(capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads(logged(capsys))

    assert (line["event"], line["email_id"], line["to"]) == ("email.logged", str(MAIL.id), "a…@e….org")
    assert [part for part in ("ada@", "example.org", "token", "Bonjour", "http") if part in repr(line)] == []


def test_on_a_developers_machine_the_log_shows_the_link(capsys: pytest.CaptureFixture[str]) -> None:
    line = json.loads(logged(capsys, shows_links=True))

    assert line["link"] == "http://127.0.0.1:8080/verify-email?token=secret"
    assert [part for part in ("ada@", "example.org", "Bonjour") if part in repr(line)] == []


@pytest.mark.parametrize(("environment", "shown"), [("development", True), ("test", False), ("production", False)])
def test_only_in_development_the_log_shows_links(harness: Harness, environment: str, shown: bool) -> None:
    settings = harness.settings.model_copy(update={"lumiere_env": environment, "mail_folder": None})
    sender = harness.service.resources(settings, harness.database)[MailSender]
    assert isinstance(sender, LogSender)
    assert sender._shows_links is shown


def test_an_email_shown_by_accident_shows_neither_address_nor_content() -> None:
    assert [part for part in ("ada@", "token", "Bonjour") if part in repr(MAIL)] == []


@pytest.mark.parametrize("locale", sorted(LOCALES))
@pytest.mark.parametrize("template", sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir()))
def test_every_template_speaks_every_language(template: str, locale: str) -> None:
    words = FileTemplates().render(template.upper(), locale, VARIABLES)

    assert words.subject
    assert "\n" not in words.subject
    assert "Ada <b>&</b> Co" in words.text
    assert f'<html lang="{locale}">' in words.html
    assert "Ada &lt;b&gt;&amp;&lt;/b&gt; Co" in words.html
    assert "<script>" not in words.html


@pytest.mark.parametrize("template", ["VERIFY_EMAIL", "RESET_PASSWORD", "ADDRESS_IN_USE", "CHANGE_EMAIL", "CONFIRM_NEW_EMAIL"])
def test_a_link_can_be_copied_from_the_text_and_followed_from_the_page(template: str) -> None:
    words = FileTemplates().render(template, "en", VARIABLES)

    assert "\nhttp://127.0.0.1:8080/x?a=1&b=2\n" in words.text
    assert 'href="http://127.0.0.1:8080/x?a=1&amp;b=2"' in words.html


def test_a_missing_variable_is_refused_for_good() -> None:
    with pytest.raises(DeliveryRefused) as refused:
        FileTemplates().render("VERIFY_EMAIL", "en", {"display_name": "Ada"})
    assert (refused.value.error_class, refused.value.permanent) == ("VariableMissing", True)
