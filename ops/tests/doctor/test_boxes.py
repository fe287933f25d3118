"""Each box is ticked by a healthy platform, unticked by its fault, and ticked again when that is mended."""

from pathlib import Path

import pytest

from ops.doctor.box import Box, State, Target, boxes
from ops.doctor.examination import ask
from ops.tests.doctor import faults_inside, faults_outside
from ops.tests.doctor.planting import PLANTED
from ops.tests.doctor.stage import EngineOfOne, Stage, a_process, commit, git, put_under_version_control

BOXES = {each.name: each for each in boxes()}
MODULES = (faults_inside, faults_outside)


def test_every_box_has_a_fault_that_unticks_it() -> None:
    assert set(PLANTED) == set(BOXES)


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_box_tells_the_truth_before_during_and_after_its_fault(name: str, tmp_path: Path) -> None:
    box, planted = BOXES[name], PLANTED[name]
    stage = Stage(tmp_path, planted.target)
    with planted.around(stage):
        assert found(box, stage) == (State.OK, True)
        with planted.plant(stage):
            finding = ask(box, stage)
            assert finding.state is State.FAILED, finding.evidence
            assert planted.words in finding.evidence
        assert found(box, stage) == (State.OK, True)


def found(box: Box, stage: Stage) -> tuple[State, bool]:
    finding = ask(box, stage)
    assert finding.state is State.OK, finding.evidence
    return finding.state, bool(finding.evidence)


def test_images_built_by_hand_do_not_pass_for_one_revision(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.told = [a_process(service, revision="unknown") for service in ("tasks", "auth")]
    assert ask(BOXES["revision"], stage).state is State.NOT_EXAMINED
    stage.production = False
    assert ask(BOXES["revision"], stage).state is State.NOT_APPLICABLE


@pytest.mark.parametrize(
    "name", ["sentry-dsn", "cron-secret", "mail-provider", "mock-providers", "revision", "environment", "no-root"]
)
def test_a_platform_that_does_not_answer_is_not_well(name: str, tmp_path: Path) -> None:
    stage = Stage(tmp_path, Target.COMPOSE)
    stage.told = []
    assert ask(BOXES[name], stage).state is State.NOT_EXAMINED


def test_a_container_alone_does_not_vouch_for_what_only_files_show(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Target.COMPOSE)
    stage.secrets = None
    assert "from outside" in ask(BOXES["auth-secret"], stage).evidence
    stage.told = [a_process("auth", settings={"auth_secret": False})]
    assert ask(BOXES["auth-secret"], stage).state is State.FAILED


def test_a_secret_that_was_committed_once_is_in_the_history_for_good(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    put_under_version_control(tmp_path)
    (tmp_path / ".env").write_text("AUTH_SECRET=x\n", encoding="utf-8")
    commit(tmp_path, ".env")
    git(tmp_path, "rm", "-q", ".env")
    git(tmp_path, "commit", "-q", "-m", "Take it away")
    assert "in the history" in ask(BOXES["no-env-file"], stage).evidence


def test_an_image_with_an_environment_file_is_named(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Target.ENGINE)
    assert ask(BOXES["no-env-file"], stage).state is State.OK
    assert isinstance(stage.engine, EngineOfOne)
    stage.engine.contents.append("opt/lumiere/.env")
    assert ask(BOXES["no-env-file"], stage).evidence == "lumiere/tasks:1 holds opt/lumiere/.env"
