"""What notify listens to."""

from libs.common.db import Transaction
from libs.common.events import Envelope, Keyring, on
from services.auth.events import EmailRequested, UserEmailChanged, UserRegistered, UserUpdated
from services.notify import use_cases
from services.notify.domain import EmailTemplate, NoticeKind, Vault
from services.notify.use_cases import EmailRequest
from services.payments.events import LumensChanged
from services.tasks.events import SubmissionReviewed, TaskValidated


@on(UserRegistered, ordered=True)
def know_registered_person(event: UserRegistered, tx: Transaction, keyring: Keyring, vault: Vault) -> None:
    """A new account is somebody to write to."""
    use_cases.know_person(
        tx,
        vault,
        user_id=event.user_id,
        address=event.email.open(keyring),
        display_name=event.display_name.open(keyring),
        locale=event.locale,
    )


@on(UserUpdated, ordered=True)
def follow_profile(event: UserUpdated, tx: Transaction, keyring: Keyring, vault: Vault) -> None:
    """Names and languages change."""
    name = event.display_name.open(keyring) if event.display_name is not None else None
    use_cases.update_person(tx, vault, user_id=event.user_id, display_name=name, locale=event.locale)


@on(UserEmailChanged, ordered=True)
def follow_address(event: UserEmailChanged, tx: Transaction, keyring: Keyring, vault: Vault) -> None:
    """From now on e-mails go to another address."""
    use_cases.readdress_person(tx, vault, user_id=event.user_id, address=event.email.open(keyring))


@on(EmailRequested)
def queue_requested_email(event: EmailRequested, tx: Transaction, keyring: Keyring, vault: Vault) -> None:
    """An e-mail that carries a one-time link: to the address in the request, before it expires."""
    request = EmailRequest(
        id=event.email_id,
        user_id=event.user_id,
        template=event.template,
        variables=event.variables.open(keyring),
        recipient=event.recipient.open(keyring),
        locale=event.locale,
        expires_at=event.expires_at,
    )
    use_cases.queue_email(tx, vault, request)


@on(TaskValidated)
def tell_validated(event: TaskValidated, tx: Transaction, envelope: Envelope, vault: Vault) -> None:
    """Work was accepted: a notice and an e-mail to whoever did it."""
    told = {
        "task_id": str(event.task_id),
        "film_id": str(event.film_id),
        "submission_id": str(event.submission_id),
        "task_title": event.task_title,
        "film_title": event.film_title,
        "lumens": event.lumens,
        "points": event.points,
        "price": event.price.model_dump(mode="json"),
    }
    use_cases.write_notice(tx, user_id=event.contributor_id, kind=NoticeKind.TASK_VALIDATED, data=told, event_id=envelope.id)
    request = EmailRequest(
        id=envelope.id,
        user_id=event.contributor_id,
        template=EmailTemplate.TASK_VALIDATED,
        variables={
            "task_title": event.task_title,
            "film_title": event.film_title,
            "lumens": str(event.lumens),
            "price": str(event.price),
        },
    )
    use_cases.queue_email(tx, vault, request)


@on(SubmissionReviewed)
def tell_sent_back(event: SubmissionReviewed, tx: Transaction, envelope: Envelope) -> None:
    """A person sent work back; approval is told when the task is validated, an advisory verdict decides nothing."""
    if event.stage != "HUMAN" or event.verdict != "REJECT":
        return
    told = {
        "task_id": str(event.task_id),
        "film_id": str(event.film_id),
        "submission_id": str(event.submission_id),
        "attempts_left": event.attempts_left,
    }
    use_cases.write_notice(tx, user_id=event.contributor_id, kind=NoticeKind.TASK_REJECTED, data=told, event_id=envelope.id)


@on(LumensChanged)
def tell_lumens_changed(event: LumensChanged, tx: Transaction, envelope: Envelope) -> None:
    """Lumens came or went."""
    told = {
        "entry_id": str(event.entry_id),
        "amount": event.amount,
        "reason": event.reason,
        "reference_id": str(event.reference_id),
        "balance_after": event.balance_after,
    }
    use_cases.write_notice(tx, user_id=event.user_id, kind=NoticeKind.LUMENS_CHANGED, data=told, event_id=envelope.id)
