"""Plans of work as clients send them: one task or a list as JSON, or a production sheet as CSV."""

from pydantic import TypeAdapter, ValidationError

from libs.common.errors import Fault, Invalid
from libs.common.http import RawBody
from services.tasks.domain.planning import PLAN_SIZE, Draft
from services.tasks.schemas.faults import faults_of
from services.tasks.schemas.inputs import TaskInput
from services.tasks.schemas.production_sheet import read_sheet

JSON = "application/json"
CSV = "text/csv"
SHEET_EXAMPLE = (
    "title,description,type,difficulty,phase,price\r\n"
    "Write the quarrel at the Astronomic Club,Papers fly. Half a page.,DIALOGUE_EDIT,MEDIUM,SCRIPT,80\r\n"
)
PLAN_BYTES = 2_097_152
"""The largest plan that is taken, in bytes."""

_ONE = TypeAdapter(TaskInput)
_MANY = TypeAdapter(list[TaskInput])


def read_plan(content: RawBody) -> list[Draft]:
    """The tasks to be planned, in the order sent.

    Raises Invalid with every fault.
    """
    return read_sheet(content.data) if content.media_type == CSV else read_json(content.data)


def read_json(data: bytes) -> list[Draft]:
    """One task as an object, or 1 to 1,000 of them as an array.

    Raises Invalid with every fault.
    """
    several = data.lstrip()[:1] == b"["
    try:
        tasks = _MANY.validate_json(data) if several else [_ONE.validate_json(data)]
    except ValidationError as error:
        raise Invalid(faults_of(error)) from None
    if not 1 <= len(tasks) <= PLAN_SIZE:
        raise Invalid([Fault("", f"A plan holds 1 to {PLAN_SIZE} tasks; this one holds {len(tasks)}.")])
    return [task.draft(f"/{index}" if several else "") for index, task in enumerate(tasks)]
