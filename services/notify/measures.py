"""What notify measures of itself: e-mails on their way."""

from prometheus_client import Gauge

from libs.common import clock
from libs.common.db import Reader
from libs.common.measures import measure
from services.notify import queries

QUEUED = Gauge("lumiere_mail_queued", "E-mails that wait to be sent, or to be tried again")
OLDEST = Gauge("lumiere_mail_oldest_seconds", "Since the oldest of them was requested")


@measure()
def mail(db: Reader) -> None:
    """The queue of e-mails."""
    waiting = queries.queued_emails(db)
    QUEUED.set(waiting.emails)
    OLDEST.set((clock.now() - waiting.oldest).total_seconds() if waiting.oldest else 0)
