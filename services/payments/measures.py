"""What payments measures of itself: the book of Lumens, and what contributors are owed."""

from prometheus_client import Gauge

from libs.common.db import Reader
from libs.common.measures import measure
from libs.common.money import Currency
from services.payments import queries
from services.payments.domain import AccountKind, PaymentStatus

LUMENS = Gauge("lumiere_lumens", "Sum of the balances of a kind of account", ["kind"])
DIFFERENCE = Gauge("lumiere_lumens_difference", "What is zero in a book of Lumens that balances", ["difference"])
PAYABLES = Gauge("lumiere_payables", "Payments by currency and status", ["currency", "status"])
OWED = Gauge("lumiere_payables_minor_units", "Their amounts, in minor units of the currency", ["currency", "status"])


@measure(seconds=120)
def book(db: Reader) -> None:
    """Double entry: all entries sum to zero, all balances do, and every account holds what its entries say."""
    found = {row.kind: row for row in queries.book(db)}
    for kind in AccountKind:
        LUMENS.labels(kind).set(int(found[kind].balance) if kind in found else 0)
    DIFFERENCE.labels("entries").set(sum(int(row.entered) for row in found.values()))
    DIFFERENCE.labels("balances").set(sum(int(row.balance) for row in found.values()))
    DIFFERENCE.labels("accounts").set(sum(row.wrong for row in found.values()))


@measure(seconds=60)
def payables(db: Reader) -> None:
    """How many payments stand where, and how much money that is."""
    found = {(row.amount_currency, row.status): row for row in queries.payments_by_status(db)}
    for currency in Currency:
        for status in PaymentStatus:
            row = found.get((currency, status))
            PAYABLES.labels(currency, status).set(row.payments if row else 0)
            OWED.labels(currency, status).set(int(row.amount) if row else 0)
