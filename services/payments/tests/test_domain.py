"""The rules of pay, without a database."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import new_id
from libs.common.money import Money
from services.payments import domain
from services.payments.domain import (
    FINAL_STATUSES,
    PLATFORM_REWARDS_ID,
    TRANSFER_AMOUNT_LIMIT,
    TRANSITIONS,
    AccountId,
    Leg,
    PaymentStatus,
    Transfer,
    TransferReason,
    UnbalancedTransfer,
)

ACCOUNTS = tuple(AccountId(UUID(int=number)) for number in range(10, 14))


def transfer(*amounts: int) -> Transfer:
    return Transfer(TransferReason.TASK_REWARD, UUID(int=99), tuple(map(Leg, ACCOUNTS, amounts)))


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(PaymentStatus)


def test_no_status_but_the_final_ones_is_absorbing() -> None:
    absorbing = {status for status, following in TRANSITIONS.items() if not following}

    assert absorbing == FINAL_STATUSES


def test_every_status_can_still_reach_completion() -> None:
    reaching = {PaymentStatus.COMPLETED}
    for _ in PaymentStatus:
        reaching |= {status for status in PaymentStatus if TRANSITIONS[status] & reaching}

    assert reaching == set(PaymentStatus)


@pytest.mark.parametrize("current", list(PaymentStatus))
def test_a_payment_moves_only_as_the_table_says(current: PaymentStatus) -> None:
    assert {wanted for wanted in PaymentStatus if domain.may_become(current, wanted)} == TRANSITIONS[current]


def test_a_completed_payment_never_moves_again() -> None:
    assert not any(domain.may_become(PaymentStatus.COMPLETED, wanted) for wanted in PaymentStatus)


@given(st.lists(st.integers(-50, 50), min_size=0, max_size=4))
def test_a_transfer_exists_only_when_its_legs_balance(amounts: list[int]) -> None:
    sound = len(amounts) >= 2 and 0 not in amounts and sum(amounts) == 0

    if sound:
        assert sum(leg.amount for leg in transfer(*amounts).legs) == 0
    else:
        with pytest.raises(UnbalancedTransfer):
            transfer(*amounts)


def test_an_account_stands_in_a_transfer_once() -> None:
    with pytest.raises(UnbalancedTransfer):
        Transfer(TransferReason.TASK_REWARD, UUID(int=99), (Leg(ACCOUNTS[0], 5), Leg(ACCOUNTS[0], -5)))


def test_a_leg_may_reach_the_limit_and_not_pass_it() -> None:
    assert transfer(-TRANSFER_AMOUNT_LIMIT, TRANSFER_AMOUNT_LIMIT)
    assert transfer(-(TRANSFER_AMOUNT_LIMIT - 1), TRANSFER_AMOUNT_LIMIT - 1)
    with pytest.raises(UnbalancedTransfer):
        transfer(-(TRANSFER_AMOUNT_LIMIT + 1), TRANSFER_AMOUNT_LIMIT + 1)


def test_a_reward_is_issued_by_the_platform() -> None:
    reward = domain.task_reward(UUID(int=7), ACCOUNTS[0], 10)

    assert reward.legs == (Leg(PLATFORM_REWARDS_ID, -10), Leg(ACCOUNTS[0], 10))
    assert (reward.reason, reward.reference_id) == (TransferReason.TASK_REWARD, UUID(int=7))


@given(st.builds(new_id))
def test_the_issuing_account_is_locked_before_any_other(other: UUID) -> None:
    assert other > PLATFORM_REWARDS_ID


def test_only_a_positive_price_is_owed() -> None:
    assert [domain.is_owed(Money(amount=cents)) for cents in (-1, 0, 1)] == [False, False, True]


def test_a_date_stands_for_its_whole_day() -> None:
    day = date(2026, 2, 28)

    assert domain.first_moment(day) == datetime(2026, 2, 28, tzinfo=UTC)
    assert domain.last_moment(day) == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_moment_stands_for_itself() -> None:
    moment = datetime(2026, 2, 28, 13, 5, tzinfo=UTC)

    assert domain.first_moment(moment) == moment == domain.last_moment(moment)
    assert domain.first_moment(None) is None
    assert domain.last_moment(None) is None


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "  =", "＝"])
def test_a_cell_that_would_be_a_formula_becomes_text(start: str) -> None:
    assert domain.spreadsheet_text(f"{start}1+1").startswith("'")


@given(st.text(max_size=30))
def test_no_cell_starts_a_formula_and_none_loses_a_character(value: str) -> None:
    cell = domain.spreadsheet_text(value)

    assert not cell.lstrip(" ").startswith(domain.FORMULA_STARTS)
    assert cell.removeprefix("'") == value.removeprefix("'") or cell == f"'{value}"
