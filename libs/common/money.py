"""Money as integers of minor units with their currency (ISO 4217); never a float."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

MINOR_UNITS = 100  # of every currency below (ISO 4217 exponent 2)
AMOUNT_LIMIT = 10**15  # minor units; sums of a thousand of these still fit a Postgres bigint


class Currency(StrEnum):
    """Currencies that the platform keeps books in."""

    EUR = "EUR"


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were combined."""


class Money(BaseModel):
    """An amount in minor units (cents) of one currency."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    amount: int = Field(ge=-AMOUNT_LIMIT, le=AMOUNT_LIMIT, description="Minor units, for example cents", examples=[8_000])
    currency: Currency = Currency.EUR

    def __add__(self, other: Self) -> Self:
        """The sum; raises CurrencyMismatch."""
        return self._combined(other, self.amount + other.amount)

    def __sub__(self, other: Self) -> Self:
        """The difference; raises CurrencyMismatch."""
        return self._combined(other, self.amount - other.amount)

    @property
    def decimal(self) -> str:
        """The amount in units of the currency, with a point: 5005 cents are "50.05"."""
        sign = "-" if self.amount < 0 else ""
        return f"{sign}{abs(self.amount) // MINOR_UNITS}.{abs(self.amount) % MINOR_UNITS:02d}"

    def __str__(self) -> str:
        """The amount and its currency: "50.05 EUR"."""
        return f"{self.decimal} {self.currency}"

    def _combined(self, other: Self, amount: int) -> Self:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be combined")
        return type(self)(amount=amount, currency=self.currency)
