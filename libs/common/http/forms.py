"""Forms as browsers send them (`application/x-www-form-urlencoded`, URL standard section 5.1), read strictly."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError

from libs.common.errors import BadRequest, Fault

FORM: Final = "application/x-www-form-urlencoded"
FIELDS_MAX: Final = 64
"""Fields of one form; more are no form of ours."""
_BROKEN_ESCAPE: Final = re.compile("%(?![0-9A-Fa-f]{2})")

FormModel = TypeVar("FormModel", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Submitted(Generic[FormModel]):
    """What somebody filled in: `value` when it has no fault, else None and every fault at once.

    The handler decides how to answer faults: a page shows the form again. `given` is what was typed, secrets included: show
    only what may be shown.
    """

    value: FormModel | None
    faults: tuple[Fault, ...]
    given: Mapping[str, str]


def model_of(annotation: Any) -> type[BaseModel]:
    """The model in `Submitted[Model]`. Raises TypeError for anything else."""
    if get_origin(annotation) is not Submitted:
        raise TypeError("a form is declared as Submitted[Model]")
    model: type[BaseModel] = get_args(annotation)[0]
    return model


def read_form(model: type[BaseModel], body: bytes, told: Callable[[ValidationError], list[Fault]]) -> Submitted[BaseModel]:
    """Read and judge a form; `told` makes faults of what the model says. Raises BadRequest for what is no form at all.

    A field that may be left out and comes empty was left out: that is how browsers send an empty box.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, given in _fields(body).items():
        if _several(model, name):
            values[name] = given
        elif len(given) > 1:
            faults.append(Fault(f"/{name}", "was given more than once"))
        elif given[0] or name not in model.model_fields or model.model_fields[name].is_required():
            values[name] = given[0]
    value = None
    try:
        value = model.model_validate(values, strict=False)  # a form holds nothing but texts
    except ValidationError as error:
        known = {fault.pointer for fault in faults}
        faults += [fault for fault in told(error) if fault.pointer not in known]
    shown = {name: each for name, each in values.items() if isinstance(each, str)}
    return Submitted(None if faults else value, tuple(faults), shown)


def _several(model: type[BaseModel], name: str) -> bool:
    return name in model.model_fields and get_origin(model.model_fields[name].annotation) in {tuple, list}


def _fields(body: bytes) -> dict[str, list[str]]:
    """Names with their values, in order. Raises BadRequest."""
    try:
        text = body.decode("ascii")
        if _BROKEN_ESCAPE.search(text):
            raise ValueError("an escape is broken")
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise BadRequest("This is not a form as browsers send it: names and values, percent-encoded UTF-8.") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
