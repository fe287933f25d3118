"""The way of a task, from plan to validation, through the doors."""

from services.tasks.tests.studio import Studio


def test_a_task_goes_from_plan_to_validation_and_every_fact_is_told_in_order(studio: Studio) -> None:
    ada = studio.person()
    film = studio.film()
    task = studio.plan(film, {})[0]
    studio.validate(ada, task)

    assert studio.admin.get(f"/tasks/{task['id']}")["status"] == "VALIDATED"
    assert studio.facts() == [
        "film.created",
        "phase.unlocked",
        "task.created",
        "task.opened",
        "task.claimed",
        "task.submitted",
        "task.reviewed",
        "task.reviewed",
        "task.validated",
        "phase.completed",
        "phase.unlocked",
    ]
    validated = studio.harness.published("tasks.task.validated")[0].data
    assert validated["contributor_id"] == str(ada.id)
    assert validated["reviewer_id"] == str(studio.admin.id)
    assert validated["price"] == {"amount": 5_000, "currency": "EUR"}
    assert (validated["lumens"], validated["points"]) == (10, 50)
    assert (validated["task_title"], validated["film_title"]) == (task["title"], film["title"])
    assert ada.get("/profile/progress") == {
        "points": 50,
        "level": "ROOKIE",
        "next_level_at": 500,
        "claimed": 0,
        "under_review": 0,
        "validated": 1,
        "submitted": 1,
        "rejected": 0,
    }
