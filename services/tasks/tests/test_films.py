"""Films and plans of work, through the doors."""

import pytest

from libs.common.auth.policy import Role
from libs.common.ids import new_id
from services.tasks.domain.film import FILM_BUDGET_CENTS, FILM_TITLE_LENGTH, SYNOPSIS_LENGTH
from services.tasks.domain.planning import (
    DEPENDENCIES_MAX,
    DESCRIPTION_LENGTH,
    PLAN_SIZE,
    REFERENCE_LENGTH,
    TASK_PRICE_CENTS,
    TASK_TITLE_LENGTH,
)
from services.tasks.domain.values import Phase
from services.tasks.schemas.plan import PLAN_BYTES
from services.tasks.tests.studio import FILM, TASK, Studio

SHEET = (
    "reference,title,description,type,difficulty,phase,price,depends_on\r\n"
    "story,Tell the story,One page.,PROMPT_WRITING,EASY,SCRIPT,50,\r\n"
    "boards,Draw the boards,Thirty tableaux.,IMAGE_GEN,MEDIUM,STORYBOARD,100.50,story\r\n"
)


def euros(cents: int) -> dict[str, object]:
    return {"amount": cents, "currency": "EUR"}


def test_a_film_comes_with_its_ten_phases(studio: Studio) -> None:
    film = studio.film()
    phases = studio.person().get(f"/films/{film['slug']}/phases")["items"]
    assert [(each["phase"], each["position"]) for each in phases] == [(phase.value, phase.position) for phase in Phase]
    assert [each["status"] for each in phases] == ["ACTIVE"] + ["LOCKED"] * 9
    assert studio.facts() == ["film.created", "phase.unlocked"]


def test_a_public_film_is_read_by_everyone_and_its_budget_by_administrators_only(studio: Studio) -> None:
    film = studio.film()
    anonymous = studio.harness.client()
    for reference in (film["id"], film["slug"]):
        response = anonymous.get(f"/api/v1/films/{reference}")
        assert (response.status_code, response.headers["ETag"]) == (200, '"1"')
        assert "budget" not in response.get_json()
    assert anonymous.get("/api/v1/films").get_json()["items"][0]["id"] == film["id"]
    assert studio.admin.get("/admin/films")["items"][0]["budget"] == FILM["budget"]


def test_a_private_film_is_not_there_but_for_administrators(studio: Studio) -> None:
    film = studio.film(is_public=False)
    for path in (f"/films/{film['id']}", f"/films/{film['slug']}", f"/films/{film['slug']}/phases"):
        studio.person().get(path, 404)
        studio.admin.get(path)
    assert studio.person().get("/films")["items"] == []


def test_films_are_listed_in_pages_newest_first(studio: Studio) -> None:
    made = [studio.film(title=f"Film {number}")["id"] for number in range(5)]
    reader, found, cursor = studio.person(), [], ""
    while True:
        page = reader.get(f"/films?limit=2{cursor}")
        found += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == made[::-1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": "x" * (FILM_TITLE_LENGTH[0] - 1)}, 422),
        ({"title": "x" * FILM_TITLE_LENGTH[0]}, 201),
        ({"title": "x" * FILM_TITLE_LENGTH[1]}, 201),
        ({"title": "x" * (FILM_TITLE_LENGTH[1] + 1)}, 422),
        ({"title": "two\nlines"}, 422),
        ({"title": " padded"}, 422),
        ({"synopsis": "x\n" * (SYNOPSIS_LENGTH // 2)}, 201),
        ({"synopsis": "x" * (SYNOPSIS_LENGTH + 1)}, 422),
        ({"synopsis": "nul \0"}, 422),
        ({"budget": euros(-1)}, 422),
        ({"budget": euros(0)}, 201),
        ({"budget": euros(FILM_BUDGET_CENTS)}, 201),
        ({"budget": euros(FILM_BUDGET_CENTS + 1)}, 422),
        ({"budget": 3_000_000}, 422),
        ({"budget": {"amount": 1.5, "currency": "EUR"}}, 422),
        ({"budget": {"amount": 1, "currency": "USD"}}, 422),
        ({"genre": "WESTERNISH"}, 422),
        ({"catalogue": "BIBLE"}, 201),
        ({"is_public": "true"}, 422),
        ({"surprise": 1}, 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_film_is_checked_strictly(studio: Studio, changes: dict[str, object], expected: int) -> None:
    studio.admin.post("/admin/films", {**FILM, **changes}, expected)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": "x" * (TASK_TITLE_LENGTH[0] - 1)}, 422),
        ({"title": "x" * TASK_TITLE_LENGTH[0]}, 201),
        ({"title": "x" * TASK_TITLE_LENGTH[1]}, 201),
        ({"title": "x" * (TASK_TITLE_LENGTH[1] + 1)}, 422),
        ({"description": ""}, 422),
        ({"description": "x" * DESCRIPTION_LENGTH[1]}, 201),
        ({"description": "x" * (DESCRIPTION_LENGTH[1] + 1)}, 422),
        ({"reference": ""}, 422),
        ({"reference": "x" * REFERENCE_LENGTH[1]}, 201),
        ({"reference": "x" * (REFERENCE_LENGTH[1] + 1)}, 422),
        ({"price": euros(-1)}, 422),
        ({"price": euros(0)}, 201),
        ({"price": euros(TASK_PRICE_CENTS)}, 201),
        ({"price": euros(TASK_PRICE_CENTS + 1)}, 422),
        ({"type": "CATERING"}, 422),
        ({"difficulty": 1}, 422),
        ({"phase": "SOUND"}, 422),
        ({"required_level": "VIP"}, 201),
        ({"required_level": "LEGEND"}, 422),
        ({"depends_on": ["nowhere"]}, 422),
        ({"depends_on": ["x"] * (DEPENDENCIES_MAX + 1)}, 422),
        ({"status": "AVAILABLE"}, 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_task_is_checked_strictly(studio: Studio, changes: dict[str, object], expected: int) -> None:
    film = studio.film()
    studio.admin.post(f"/admin/films/{film['id']}/tasks", {**TASK, **changes}, expected)


def test_a_task_waits_for_its_phase_and_for_what_it_depends_on(studio: Studio) -> None:
    first, second, later = studio.plan(
        studio.film(), {"reference": "a"}, {"reference": "b", "depends_on": ["a"]}, {"phase": "STORYBOARD", "depends_on": ["a"]}
    )
    assert [each["status"] for each in (first, second, later)] == ["AVAILABLE", "LOCKED", "LOCKED"]
    assert second["depends_on"] == [first["id"]]
    ada = studio.person()
    ada.post(f"/tasks/{second['id']}/claim", expected=409)
    studio.validate(ada, first)
    assert [studio.admin.get(f"/tasks/{each['id']}")["status"] for each in (second, later)] == ["AVAILABLE", "LOCKED"]
    studio.validate(ada, second)
    assert studio.admin.get(f"/tasks/{later['id']}")["status"] == "AVAILABLE"


def test_a_plan_with_a_fault_creates_nothing(studio: Studio) -> None:
    film = studio.film()
    tasks = [TASK, {**TASK, "title": "x"}, {**TASK, "phase": "NEVER"}]
    answer = studio.admin.post(f"/admin/films/{film['id']}/tasks", tasks, 422)
    assert [each["pointer"] for each in answer["errors"]] == ["/1/title", "/2/phase"]
    assert studio.admin.get("/tasks")["items"] == []


def test_tasks_that_wait_for_each_other_are_refused(studio: Studio) -> None:
    film = studio.film()
    tasks = [{**TASK, "reference": "a", "depends_on": ["b"]}, {**TASK, "reference": "b", "depends_on": ["a"]}]
    answer = studio.admin.post(f"/admin/films/{film['id']}/tasks", tasks, 422)
    assert "circle" in answer["errors"][0]["detail"]


@pytest.mark.parametrize(("size", "expected"), [(0, 422), (PLAN_SIZE + 1, 422)])
def test_a_plan_holds_one_to_a_thousand_tasks(studio: Studio, size: int, expected: int) -> None:
    film = studio.film()
    studio.admin.post(f"/admin/films/{film['id']}/tasks", [TASK] * size, expected)


def test_a_plan_of_a_thousand_tasks_is_taken_whole(studio: Studio) -> None:
    film = studio.film()
    planned = studio.plan(film, *({"title": f"Frame {number}"} for number in range(PLAN_SIZE)))
    assert [each["title"] for each in planned] == [f"Frame {number}" for number in range(PLAN_SIZE)]
    assert {each["status"] for each in planned} == {"AVAILABLE"}


def test_a_body_over_the_limit_of_bytes_is_refused(studio: Studio) -> None:
    path = f"/admin/films/{studio.film()['id']}/tasks"
    studio.admin.post(path, None, 413, data=b"x" * (PLAN_BYTES + 1), content_type="text/csv")
    studio.admin.post(path, None, 422, data=b"x" * PLAN_BYTES, content_type="text/csv")


def test_a_production_sheet_is_planned(studio: Studio) -> None:
    film = studio.film()
    path = f"/admin/films/{film['id']}/tasks"
    items = studio.admin.post(path, None, 201, data=SHEET.encode(), content_type="text/csv; charset=utf-8")["items"]
    assert [(each["title"], each["status"], each["price"]["amount"]) for each in items] == [
        ("Tell the story", "AVAILABLE", 5_000),
        ("Draw the boards", "LOCKED", 10_050),
    ]
    assert items[1]["depends_on"] == [items[0]["id"]]


def test_faults_of_a_sheet_point_at_its_lines(studio: Studio) -> None:
    film = studio.film()
    path = f"/admin/films/{film['id']}/tasks"
    answer = studio.admin.post(path, None, 422, data=SHEET.replace("story\r", "tale\r").encode(), content_type="text/csv")
    assert [each["pointer"] for each in answer["errors"]] == ["/lines/3/depends_on/0"]
    studio.admin.post(path, None, 415, data=SHEET.encode(), content_type="text/plain")


def test_an_administrator_opens_a_phase_before_its_turn(studio: Studio) -> None:
    film = studio.film()
    task = studio.plan(film, {"phase": "DESIGN"})[0]
    path = f"/admin/films/{film['id']}/phases"
    studio.admin.post(f"{path}/DESIGN/unlock", expected=204)
    assert studio.admin.get(f"/tasks/{task['id']}")["status"] == "AVAILABLE"
    studio.admin.post(f"{path}/DESIGN/unlock", expected=409)
    studio.admin.post(f"{path}/CATERING/unlock", expected=404)
    studio.admin.post(f"/admin/films/{new_id()}/phases/DESIGN/unlock", expected=404)


def test_a_film_is_completed_with_its_tenth_phase(studio: Studio) -> None:
    film = studio.film()
    tasks = studio.plan(film, *({"phase": phase} for phase in Phase))
    ada = studio.person()
    for number, task in enumerate(tasks, 1):
        studio.validate(ada, task)
        assert studio.admin.get(f"/films/{film['id']}")["progress_percent"] == number * 10
    assert studio.admin.get(f"/films/{film['id']}")["status"] == "COMPLETED"
    assert studio.facts()[-2:] == ["phase.completed", "film.completed"]
    assert studio.facts().count("phase.unlocked") == 10
    assert [each.data["progress_percent"] for each in studio.harness.published("tasks.phase.completed")] == list(
        range(10, 101, 10)
    )


def test_a_complete_phase_takes_no_more_tasks(studio: Studio) -> None:
    film = studio.film()
    studio.validate(studio.person(), studio.plan(film, {})[0])
    answer = studio.admin.post(f"/admin/films/{film['id']}/tasks", TASK, 409)
    assert answer["phases"] == ["SCRIPT"]


def test_an_unclaimed_task_is_cancelled_and_nothing_waits_for_it(studio: Studio) -> None:
    film = studio.film()
    first, second, held = studio.plan(film, {"reference": "a"}, {"depends_on": ["a"]}, {})
    studio.claim(studio.person(), held)
    studio.admin.post(f"/admin/tasks/{first['id']}/cancel", expected=204)
    studio.admin.post(f"/admin/tasks/{first['id']}/cancel", expected=409)
    studio.admin.post(f"/admin/tasks/{held['id']}/cancel", expected=409)
    assert studio.admin.get(f"/tasks/{first['id']}")["status"] == "CANCELLED"
    assert studio.admin.get(f"/tasks/{second['id']}")["status"] == "AVAILABLE"


def test_cancelling_the_last_open_task_completes_its_phase(studio: Studio) -> None:
    done, dropped = studio.plan(studio.film(), {}, {})
    studio.validate(studio.person(), done)
    assert "phase.completed" not in studio.facts()
    studio.admin.post(f"/admin/tasks/{dropped['id']}/cancel", expected=204)
    assert studio.facts()[-3:] == ["task.cancelled", "phase.completed", "phase.unlocked"]


def test_an_administrator_takes_a_task_back(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    studio.claim(ada, task)
    studio.admin.post(f"/admin/tasks/{task['id']}/reassign", expected=204)
    assert studio.harness.published("tasks.task.released")[0].data["reason"] == "REASSIGNED"
    studio.admin.post(f"/admin/tasks/{task['id']}/reassign", expected=409)
    studio.claim(studio.person(), task)


def test_tasks_are_filtered_and_paged(studio: Studio) -> None:
    film, other = studio.film(), studio.film(title="Another")
    tasks = studio.plan(film, {}, {"type": "SUBTITLE"}, {"phase": "FINAL"})
    studio.plan(other, {})
    ada = studio.person()
    studio.claim(ada, tasks[0])

    def ids(query: str) -> list[str]:
        return [each["id"] for each in ada.get(f"/tasks?{query}")["items"]]

    assert ids(f"film_id={film['id']}") == [each["id"] for each in tasks]
    assert ids("mine=true") == [tasks[0]["id"]]
    assert ids("type=SUBTITLE") == [tasks[1]["id"]]
    assert ids("status=LOCKED") == [tasks[2]["id"]]
    page = ada.get("/tasks?limit=3")
    rest = ada.get(f"/tasks?limit=3&cursor={page['next_cursor']}")
    assert (len(page["items"]), len(rest["items"]), rest["next_cursor"]) == (3, 1, None)
    ada.get("/tasks?status=OPEN", 422)
    ada.get("/tasks?cursor=nonsense", 422)


def test_who_holds_a_task_is_told_to_that_person_and_to_administrators(studio: Studio) -> None:
    ada, task = studio.person(), studio.task()
    studio.claim(ada, task)
    path = f"/tasks/{task['id']}"
    assert (ada.get(path)["claimant_id"], studio.admin.get(path)["claimant_id"]) == (str(ada.id), str(ada.id))
    other = studio.person().get(path)
    assert (other["claimant_id"], other["deadline"], other["mine"], other["status"]) == (None, None, False, "CLAIMED")


def test_what_is_not_there_is_not_found(studio: Studio) -> None:
    somewhere, ada = new_id(), studio.person()
    ada.get(f"/tasks/{somewhere}", 404)
    ada.get(f"/films/{somewhere}", 404)
    ada.get("/films/no-such-film", 404)
    ada.post(f"/tasks/{somewhere}/claim", expected=404)
    ada.post(f"/tasks/{somewhere}/abandon", expected=404)
    studio.admin.post(f"/admin/films/{somewhere}/tasks", TASK, 404)
    studio.admin.post(f"/admin/submissions/{somewhere}/review", {"verdict": "APPROVE"}, 404)
    studio.admin.post(f"/admin/tasks/{somewhere}/cancel", expected=404)


def test_the_review_queue_is_for_administrators(studio: Studio) -> None:
    made = studio.submitted(studio.person(), studio.task())
    assert [each["id"] for each in studio.admin.get("/admin/submissions")["items"]] == [made["id"]]
    for role in set(Role) - {Role.ADMIN}:
        studio.person(role).get("/admin/submissions", 403)
    assert studio.harness.client().get("/api/v1/admin/submissions").status_code == 401
