"""Each box is ticked by a healthy platform, unticked by its fault, and ticked again when that is mended."""

from pathlib import Path

import pytest

from libs.common.config import variables
from ops.declarations import services, settings_classes
from ops.doctor.box import Box, State, Target, boxes
from ops.doctor.boxes import database
from ops.doctor.boxes.containers import TELLING
from ops.doctor.examination import ask
from ops.tests.doctor import faults_inside, faults_outside
from ops.tests.doctor.faults_outside import engine_of
from ops.tests.doctor.planting import PLANTED, changed
from ops.tests.doctor.stage import EngineOfOne, Stage, a_process, commit, git, put_under_version_control, write_secret

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


@pytest.mark.parametrize(
    "variable",
    [
        "STRIPE_SECRET_KEY=sk_live_1",
        "S3_SECRET_ACCESS_KEY=a",
        "PAGERDUTY_ROUTING_KEY=a",
        "CELEBRATION=smtp://studio:secret@mail.example.org",  # pragma: allowlist secret
    ],
)
def test_a_secret_in_a_containers_environment_is_seen_under_every_name(tmp_path: Path, variable: str) -> None:
    stage = Stage(tmp_path, Target.ENGINE)
    with changed(engine_of(stage).containers[0]["Config"], "Env", ["GPG_KEY=A035C8", "HTTP_PROXY=http://proxy:8", variable]):
        evidence = ask(BOXES["containers-secrets"], stage).evidence
    assert evidence == f"tasks has {variable.partition('=')[0]} in its environment"


def test_every_setting_that_is_declared_secret_is_known_by_its_name() -> None:
    declared = {each.name for cls in settings_classes(services()).values() for each in variables(cls) if each.secret}
    assert {name for name in declared if not TELLING.search(name)} == set()


@pytest.mark.parametrize(("name", "value"), [("NetworkMode", "host"), ("PublishAllPorts", True)])
def test_a_container_on_the_hosts_own_network_publishes_everything(tmp_path: Path, name: str, value: object) -> None:
    stage = Stage(tmp_path, Target.ENGINE)
    with changed(engine_of(stage).containers[2]["HostConfig"], name, value):
        assert ask(BOXES["containers-ports"], stage).evidence == "postgres publishes whatever it listens on"


def test_an_option_that_lets_a_container_gain_rights_is_no_protection(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Target.ENGINE)
    with changed(engine_of(stage).containers[0]["HostConfig"], "SecurityOpt", ["no-new-privileges:false"]):
        assert ask(BOXES["containers-user"], stage).evidence == "tasks may gain rights"


@pytest.mark.parametrize(
    ("names", "password", "said"),
    [
        (("AMQP_URL_AUTH", "AMQP_URL_TASKS"), "k" + "abcdefgh" * 5, "AMQP_URL_AUTH and AMQP_URL_TASKS are the same"),
        (("DATABASE_URL_TASKS",), "tasks", "the password in DATABASE_URL_TASKS must have at least 32 characters"),
    ],
)
def test_a_password_within_an_address_is_a_secret_too(tmp_path: Path, names: tuple[str, ...], password: str, said: str) -> None:
    stage = Stage(tmp_path)
    assert stage.secrets is not None
    for name in names:
        write_secret(stage.secrets, name, f"amqps://user:{password}@server/")
    finding = ask(BOXES["secrets-distinct"], stage)
    assert (finding.state, finding.evidence) == (State.FAILED, said)


@pytest.mark.parametrize(
    ("role", "right", "said"),
    [
        ("lumiere_backup", "writes_all", "lumiere_backup may write everything"),
        ("lumiere_backup", "rolsuper", "lumiere_backup is a superuser"),
        ("lumiere_tasks", "reads_all", "lumiere_tasks may read everything"),
        ("lumiere_tasks", "reaches_server", "lumiere_tasks may run programs or touch files on the server"),
    ],
)
def test_no_role_of_the_platform_may_more_than_it_is_for(tmp_path: Path, role: str, right: str, said: str) -> None:
    stage = Stage(tmp_path)
    row = next(each for each in stage.rows[str(database._ROLES)] if each.role == role)
    with changed(row, right, True):
        assert ask(BOXES["database-roles"], stage).evidence == said


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
