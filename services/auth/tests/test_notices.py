"""The owner of an account is told what happened to it."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.domain.accounts import Address, UnknownAccount
from services.auth.domain.notices import FACTS, Notice, facts_of
from services.auth.tests.conftest import Person
from services.auth.use_cases import notices


def test_a_notice_goes_to_the_owner_in_their_language_and_is_on_record_without_its_facts(
    harness: Harness, person: Person
) -> None:
    user_id = UUID(person.id)
    with harness.transaction() as tx:
        notices.tell(tx, user_id, Notice.PASSKEY_ADDED, name="Ada's key")
    mail = person.mails("SECURITY_NOTICE")[-1]
    assert mail == {
        "recipient": "ada@example.org",
        "template": "SECURITY_NOTICE",
        "locale": "fr",
        "display_name": "Ada Lovelace",
        "notice": "PASSKEY_ADDED",
        "name": "Ada's key",
    }
    with harness.transaction() as tx:
        record = tx.one(text("SELECT * FROM auth.audit_record WHERE action = 'notice.send'"))
    assert (record.entity_id, record.details) == (str(user_id), {"notice": "PASSKEY_ADDED"})


def test_a_notice_may_go_to_the_address_that_was_theirs_until_now(harness: Harness, person: Person) -> None:
    user_id = UUID(person.id)
    with harness.transaction() as tx:
        notices.tell(tx, user_id, Notice.EMAIL_CHANGED, recipient=Address("old@example.org"))
    assert Person(harness, "old@example.org").mails("SECURITY_NOTICE")


@pytest.mark.parametrize("facts", [{}, {"name": "x", "address": "y"}, {"device": "x"}])
def test_a_notice_with_other_facts_than_its_words_need_is_a_fault_of_the_program(facts: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        facts_of(Notice.PASSKEY_ADDED, facts)


@pytest.mark.parametrize("notice", Notice)
def test_the_facts_of_every_notice_become_text(notice: Notice) -> None:
    needed = FACTS.get(notice, frozenset())
    assert facts_of(notice, dict.fromkeys(needed, 3)) == dict.fromkeys(needed, "3")


def test_nobody_is_told_who_is_not_there(harness: Harness) -> None:
    with harness.transaction() as tx, pytest.raises(UnknownAccount):
        notices.tell(tx, uuid4(), Notice.PASSWORD_CHANGED)
