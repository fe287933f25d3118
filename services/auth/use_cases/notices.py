"""Tell the owner of an account what happened to it: by mail, and on record."""

from uuid import UUID

from libs.common.db import Transaction
from services.auth import queries
from services.auth.domain.accounts import Address
from services.auth.domain.notices import NOTICE_LIFE, Notice, facts_of
from services.auth.domain.tokens import Template
from services.auth.use_cases import mail


def tell(tx: Transaction, user_id: UUID, notice: Notice, *, recipient: Address | None = None, **facts: object) -> None:
    """Mail a security notice to the account's address, or to `recipient`, which was theirs until now; and put it on record.

    `facts` are those that `domain.notices.FACTS` names for the notice; they travel sealed and are not on record. The mail
    carries no link: whoever is alarmed by a mail goes to the platform by their own way.
    Raises UnknownAccount, and TypeError for other facts than the notice's.
    """
    filled = facts_of(notice, facts)
    account = queries.account(tx, user_id)
    mail.request(tx, account, Template.SECURITY_NOTICE, NOTICE_LIFE, {"notice": notice, **filled}, recipient=recipient)
    tx.audit("notice.send", "user", user_id, details={"notice": notice})
