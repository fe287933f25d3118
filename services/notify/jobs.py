"""Due work of notify."""

from libs.common.db import Database
from libs.common.jobs import every
from services.notify import use_cases
from services.notify.domain import EMAIL_CHANNEL, MailSender, MailTemplates, Vault


@every(seconds=2, wake=EMAIL_CHANNEL)
def deliver_emails(database: Database, sender: MailSender, templates: MailTemplates, vault: Vault) -> int:
    """Send the e-mails that are due."""
    return use_cases.deliver_due_emails(database, sender, templates, vault)
