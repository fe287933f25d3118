"""Points, levels, phases and addresses of films."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.ids import new_id
from libs.common.money import Currency, Money
from services.tasks.domain import film, progress
from services.tasks.domain.values import FilmId, FilmStatus, Level, Phase, PhaseStatus, TaskStatus


@pytest.mark.parametrize(
    ("cents", "points"), [(0, 50), (9_999, 50), (10_000, 100), (49_999, 100), (50_000, 500), (100_000_000, 500)]
)
def test_points_follow_the_price(cents: int, points: int) -> None:
    assert progress.points_for(Money(amount=cents, currency=Currency.EUR)) == points


@pytest.mark.parametrize(
    ("points", "level"),
    [
        (0, Level.ROOKIE),
        (499, Level.ROOKIE),
        (500, Level.PRO),
        (2_499, Level.PRO),
        (2_500, Level.EXPERT),
        (9_999, Level.EXPERT),
        (10_000, Level.VIP),
    ],
)
def test_levels_begin_at_their_points(points: int, level: Level) -> None:
    assert progress.level_for(points) is level


@given(current=st.sampled_from(list(Level)), points=st.integers(0, 20_000))
def test_a_level_never_falls(current: Level, points: int) -> None:
    after = progress.raised(current, points)
    assert progress.rank(after) >= progress.rank(current)
    assert progress.rank(after) >= progress.rank(progress.level_for(points))


def test_the_next_level_is_told_until_the_top() -> None:
    assert [progress.next_level_at(level) for level in Level] == [500, 2_500, 10_000, None]


@given(st.lists(st.sampled_from(list(TaskStatus))))
def test_a_phase_is_complete_when_work_was_validated_and_none_is_left(statuses: list[TaskStatus]) -> None:
    rest = [each for each in statuses if each is not TaskStatus.CANCELLED]
    assert film.phase_complete(statuses) == (bool(rest) and all(each is TaskStatus.VALIDATED for each in rest))


def test_the_ten_phases_stand_in_their_order() -> None:
    assert [(phase.value, phase.position) for phase in Phase] == [
        ("SCRIPT", 1),
        ("STORYBOARD", 2),
        ("PREVIZ", 3),
        ("DESIGN", 4),
        ("ANIMATION", 5),
        ("VFX", 6),
        ("AUDIO", 7),
        ("EDITING", 8),
        ("COLOR", 9),
        ("FINAL", 10),
    ]


@given(completed=st.integers(0, 10))
def test_progress_and_status_follow_the_phases(completed: int) -> None:
    statuses = {
        phase: PhaseStatus.COMPLETED
        if phase.position <= completed
        else PhaseStatus.ACTIVE
        if phase.position == completed + 1
        else PhaseStatus.LOCKED
        for phase in Phase
    }
    assert film.progress_percent(statuses) == completed * 10
    expected = [FilmStatus.PRE_PRODUCTION] * 4 + [FilmStatus.IN_PRODUCTION] * 3 + [FilmStatus.POST_PRODUCTION] * 3
    assert film.film_status(statuses) is [*expected, FilmStatus.COMPLETED][completed]
    following = film.next_locked(statuses)
    assert following is None if completed >= 9 else following is list(Phase)[completed + 1]


@given(st.text(min_size=1, max_size=300))
def test_a_slug_is_a_path_segment_that_is_no_identifier(title: str) -> None:
    slug = film.slug_of(title)
    assert slug.replace("-", "").isalnum()
    assert slug.isascii()
    assert slug == slug.lower()
    assert 1 <= len(slug) <= film.SLUG_LENGTH + len("film-")
    assert film.parse_film_id(slug) is None


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Le Voyage dans la Lune", "le-voyage-dans-la-lune"),
        ("Élan & Œuvre", "elan-uvre"),
        ("七人の侍", "film"),
        ("0198c0de-0000-7000-8000-000000000000", "film-0198c0de-0000-7000-8000-000000000000"),
        ("0198c0de000070008000000000000000", "film-0198c0de000070008000000000000000"),
    ],
)
def test_slugs_of_titles(title: str, slug: str) -> None:
    assert film.slug_of(title) == slug


def test_the_last_slug_to_try_is_the_films_own() -> None:
    film_id = FilmId(new_id())
    candidates = list(film.slug_candidates("Moon", film_id))
    assert candidates[:3] == ["moon", "moon-2", "moon-3"]
    assert candidates[-1] == f"moon-{film_id.hex}"
    assert len(set(candidates)) == len(candidates) == film.NUMBERED_SLUGS + 1
