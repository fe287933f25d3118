"""A production sheet: the tasks of a film as comma-separated values (RFC 4180) in UTF-8, with a header line.

Columns, in any order: `title, description, type, difficulty, phase, price` and, when wanted, `currency, required_level,
reference, depends_on`. A price is written in units of its currency (`50` or `49.90`), EUR unless said. `depends_on` names
references or titles, separated by semicolons. A cell is text whatever it begins with: nothing in it is ever computed.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import orjson
from pydantic import ValidationError

from libs.common.errors import Fault, Invalid
from libs.common.money import Currency
from services.tasks.domain.planning import PLAN_SIZE, Draft
from services.tasks.schemas.faults import faults_of
from services.tasks.schemas.inputs import TaskInput

REQUIRED: Final = ("title", "description", "type", "difficulty", "phase", "price")
OPTIONAL: Final = ("currency", "required_level", "reference", "depends_on")
SEPARATOR: Final = ";"

_PRICE: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{2}))?")
_WELL_FORMED: Final = re.compile(r'(?:(?:"(?:[^"]|"")*+"|[^",\r\n]*+)(?:,|\r?\n|\Z))*+')
"""The grammar of RFC 4180 section 2; the csv module alone lets a quote stand inside a bare field."""

Record = tuple[int, list[str]]
"""The line of the file that a record begins on, and its cells."""


def read_sheet(data: bytes) -> list[Draft]:
    """The tasks of a sheet, in its order.

    Raises Invalid with every fault of every line; pointers are `/lines/<line of the file>/<column>`.
    """
    records = list(_records(_text(data)))
    if not records:
        raise Invalid([Fault("/lines/1", f"The sheet is empty; its first line names the columns {', '.join(REQUIRED)}.")])
    header_line, header = records[0]
    faults = _header_faults(header_line, header)
    if not faults and not 1 <= len(records) - 1 <= PLAN_SIZE:
        faults = [Fault("/lines", f"A sheet holds 1 to {PLAN_SIZE} tasks; this one holds {len(records) - 1}.")]
    if faults:
        raise Invalid(faults)
    drafts = [_draft(line, header, cells, faults) for line, cells in records[1:]]
    if faults:
        raise Invalid(faults)
    return [draft for draft in drafts if draft is not None]


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Invalid([Fault(f"/lines/{line}", "The sheet must be UTF-8; export it again in that encoding.")]) from None
    well_formed = _WELL_FORMED.match(text)
    end = well_formed.end() if well_formed else 0
    if end != len(text):
        line = text.count("\n", 0, end) + 1
        hint = "Put a cell that holds quotes, commas or line breaks in quotes, double the quotes in it, and close them."
        raise Invalid([Fault(f"/lines/{line}", hint)])
    return text


def _records(text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise Invalid([Fault(f"/lines/{line}", f"The line cannot be read: {error}.")]) from None


def _header_faults(line: int, header: Sequence[str]) -> list[Fault]:
    known = (*REQUIRED, *OPTIONAL)
    faults = [Fault(f"/lines/{line}/{name}", "This column is missing.") for name in REQUIRED if name not in header]
    unknown = sorted({name for name in header if name not in known})
    faults += [
        Fault(f"/lines/{line}", f"{name!r} is not a column of a sheet; those are {', '.join(known)}.") for name in unknown
    ]
    repeated = sorted({name for name in header if name in known and header.count(name) > 1})
    return faults + [Fault(f"/lines/{line}/{name}", "This column stands there more than once.") for name in repeated]


def _draft(line: int, header: Sequence[str], cells: Sequence[str], faults: list[Fault]) -> Draft | None:
    """The task of one line; its faults are added to `faults`."""
    place = f"/lines/{line}"
    if len(cells) != len(header):
        found = f"{len(cells)} cells" if cells else "nothing"
        faults.append(Fault(place, f"The header has {len(header)} columns, and this line holds {found}."))
        return None
    row = dict(zip(header, cells, strict=True))
    price, price_faults = _price(place, row)
    try:
        task = TaskInput.model_validate_json(orjson.dumps(_document(row, price)))
    except ValidationError as error:
        faults += price_faults + faults_of(error, place)
        return None
    faults += price_faults
    return task.draft(place)


def _price(place: str, row: Mapping[str, str]) -> tuple[dict[str, object], list[Fault]]:
    """The price in minor units; zero stands in for one that cannot be read, whose fault is returned."""
    faults = []
    match = _PRICE.fullmatch(row["price"])
    if match is None:
        faults.append(Fault(f"{place}/price", "Write a price as whole units or with two decimals after a point: 50 or 49.90."))
    currency = row.get("currency") or Currency.EUR
    if currency not in set(Currency):
        faults.append(Fault(f"{place}/currency", f"Use one of {', '.join(Currency)}, or leave the cell empty for EUR."))
    amount = int(match[1]) * 100 + int(match[2] or 0) if match else 0
    return {"amount": amount, "currency": currency if not faults else Currency.EUR}, faults


def _document(row: Mapping[str, str], price: Mapping[str, object]) -> dict[str, object]:
    """The line as the JSON that a client would have sent; an empty optional cell is not sent."""
    document: dict[str, object] = {name: row[name] for name in REQUIRED}
    document["price"] = price
    document |= {name: row[name] for name in ("required_level", "reference") if row.get(name)}
    if row.get("depends_on"):
        document["depends_on"] = [name.strip() for name in row["depends_on"].split(SEPARATOR)]
    return document
