"""Each box is ticked by a healthy platform, unticked by its fault, and ticked again when that is mended."""

from pathlib import Path

import pytest

from ops.doctor.box import Box, State, boxes
from ops.doctor.examination import ask
from ops.tests.doctor import faults_inside, faults_outside
from ops.tests.doctor.planting import PLANTED
from ops.tests.doctor.stage import Stage

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
