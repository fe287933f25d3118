"""What a plan may wait for: names are found, circles and later phases are refused."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import new_id
from libs.common.money import Currency, Money
from services.tasks.domain import planning
from services.tasks.domain.planning import Draft, Plan, Planned
from services.tasks.domain.values import Difficulty, Level, Phase, TaskId, TaskType


def a_draft(title: str, *depends_on: str, reference: str | None = None, phase: Phase = Phase.SCRIPT) -> Draft:
    return Draft(
        place=f"/{title}",
        reference=reference,
        title=title,
        description="Work.",
        type=TaskType.IMAGE_GEN,
        difficulty=Difficulty.EASY,
        phase=phase,
        price=Money(amount=5_000, currency=Currency.EUR),
        required_level=Level.ROOKIE,
        depends_on=depends_on,
    )


def resolve(*drafts: Draft, existing: tuple[Planned, ...] = ()) -> tuple[Plan, list[TaskId]]:
    ids = [TaskId(new_id()) for _ in drafts]
    return planning.resolve(drafts, ids, existing), ids


def told(plan: Plan) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.detail) for fault in plan.faults]


def test_a_task_is_named_by_id_reference_or_title_in_film_or_plan() -> None:
    old = Planned(TaskId(new_id()), "old", "Old work", Phase.SCRIPT)
    plan, ids = resolve(
        a_draft("First", "Old work", "old", str(old.id)),
        a_draft("Second", "First"),
        a_draft("Third", "two", reference="three"),
        a_draft("Fourth", reference="two"),
        existing=(old,),
    )
    assert plan == Plan((frozenset({old.id}), frozenset({ids[0]}), frozenset({ids[3]}), frozenset()), ())


def test_a_reference_wins_over_a_title_that_repeats() -> None:
    plan, ids = resolve(a_draft("Twin", reference="a"), a_draft("Twin", reference="Twin"), a_draft("Last", "Twin"))
    assert plan.depends_on[2] == {ids[1]}


def test_every_fault_is_told_at_once() -> None:
    plan, _ = resolve(
        a_draft("Lost", "nowhere", "Lost"),
        a_draft("Twin", reference="same"),
        a_draft("Twin", reference="same"),
        a_draft("Unsure", "Twin"),
        a_draft("Early", "Late"),
        a_draft("Late", phase=Phase.FINAL),
    )
    assert [pointer for pointer, _ in told(plan)] == [
        "/Twin/reference",
        "/Twin/reference",
        "/Lost/depends_on/0",
        "/Lost/depends_on/1",
        "/Unsure/depends_on/0",
        "/Early/depends_on/0",
    ]
    assert plan.depends_on == ()


def test_a_circle_is_told_with_its_members() -> None:
    plan, _ = resolve(a_draft("Egg", "Hen"), a_draft("Hen", "Egg"), a_draft("Fox", "Hen"))
    ((pointer, detail),) = told(plan)
    assert pointer in {"/Egg/depends_on", "/Hen/depends_on"}
    assert "Egg" in detail
    assert "Hen" in detail
    assert "Fox" not in detail


@given(st.lists(st.lists(st.integers(0, 11), max_size=4), min_size=1, max_size=12))
def test_a_plan_is_accepted_exactly_when_some_order_of_work_exists(waits: list[list[int]]) -> None:
    size = len(waits)
    wanted = [sorted({each for each in row if each < size and each != index}) for index, row in enumerate(waits)]
    plan, ids = resolve(*(a_draft(f"t{index}", *(f"t{each}" for each in row)) for index, row in enumerate(wanted)))
    assert bool(plan.faults) != an_order_exists(wanted)
    if not plan.faults:
        assert list(plan.depends_on) == [frozenset(ids[each] for each in row) for row in wanted]


def an_order_exists(waits: list[list[int]]) -> bool:
    done: set[int] = set()
    while len(done) < len(waits):
        ready = {index for index, row in enumerate(waits) if index not in done and set(row) <= done}
        if not ready:
            return False
        done |= ready
    return True
