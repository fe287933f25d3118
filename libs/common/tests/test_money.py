"""Money: whole minor units of one currency."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.common.money import AMOUNT_LIMIT, Money

amounts = st.integers(-AMOUNT_LIMIT // 2, AMOUNT_LIMIT // 2)


@given(amounts, amounts)
def test_adding_and_taking_away_lose_no_cent(one: int, other: int) -> None:
    assert (Money(amount=one) + Money(amount=other) - Money(amount=other)).amount == one


@given(st.integers(-AMOUNT_LIMIT, AMOUNT_LIMIT))
def test_an_amount_for_people_holds_every_cent(cents: int) -> None:
    shown = Money(amount=cents).decimal

    assert int(shown.replace(".", "")) == cents
    assert shown[-3] == "."


def test_an_amount_for_people_has_its_currency() -> None:
    assert str(Money(amount=5_005)) == "50.05 EUR"
    assert str(Money(amount=-5)) == "-0.05 EUR"


@pytest.mark.parametrize("amount", [-AMOUNT_LIMIT - 1, AMOUNT_LIMIT + 1, 1.5, "5", True])
def test_what_is_no_whole_number_within_the_limit_is_no_amount(amount: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount})


@pytest.mark.parametrize("amount", [-AMOUNT_LIMIT, 0, AMOUNT_LIMIT])
def test_the_limits_themselves_are_amounts(amount: int) -> None:
    assert Money(amount=amount).amount == amount
