"""What auth tells of an account, notify can say in every language."""

import pytest

from services.auth.domain.notices import FACTS, Notice
from services.notify.adapters.words import FileTemplates
from services.notify.domain import LOCALES, DeliveryRefused, Words

HOSTILE = '<a href="https://example.org">'
ADVICE = {"en": "choose a new password", "fr": "choisissez un nouveau mot de passe"}


def words(notice: str, locale: str) -> Words:
    facts = {name: f"{name}:{HOSTILE}" for name in FACTS.get(Notice(notice), ())}
    return FileTemplates().render("SECURITY_NOTICE", locale, {"display_name": "Ada", "notice": notice, **facts})


@pytest.mark.parametrize("locale", sorted(LOCALES))
@pytest.mark.parametrize("notice", Notice)
def test_every_notice_has_words_that_say_its_facts_and_what_to_do_and_escape_what_people_wrote(
    notice: Notice, locale: str
) -> None:
    said = words(notice, locale)
    assert said.subject
    assert ADVICE[locale] in said.text
    assert all(f"{name}:{HOSTILE}" in said.text for name in FACTS.get(notice, ()))
    assert HOSTILE not in said.html
    assert "http" not in said.html.replace("https://example.org", "")


@pytest.mark.parametrize("locale", sorted(LOCALES))
def test_no_two_notices_say_the_same(locale: str) -> None:
    said = {notice: words(notice, locale) for notice in Notice}
    assert len({each.subject for each in said.values()}) == len({each.text for each in said.values()}) == len(Notice)


def test_a_notice_that_nobody_wrote_words_for_is_given_up() -> None:
    with pytest.raises(DeliveryRefused):
        FileTemplates().render("SECURITY_NOTICE", "en", {"display_name": "Ada", "notice": "UNHEARD_OF"})
