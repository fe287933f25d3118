"""The importer of production sheets: what is taken, and how every faulty line is told."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Invalid
from libs.common.ids import new_id
from services.tasks.domain.planning import PLAN_SIZE, resolve
from services.tasks.domain.values import Level, Phase, TaskId
from services.tasks.schemas.production_sheet import read_sheet

HEADER = "title,description,type,difficulty,phase,price"
LINE = "The shell,One frame.,IMAGE_GEN,EASY,SCRIPT,50"


def sheet(*lines: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *lines, ""]).encode()


def faults(data: bytes) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        read_sheet(data)
    return [(fault.pointer, fault.detail) for fault in caught.value.faults]


def pointers(data: bytes) -> list[str]:
    return [pointer for pointer, _ in faults(data)]


def test_a_sheet_becomes_drafts_in_its_order() -> None:
    header = "phase,title,reference,description,type,difficulty,price,currency,required_level,depends_on"
    drafts = read_sheet(
        sheet(
            "SCRIPT,The shell,shell,One frame.,IMAGE_GEN,EASY,50,EUR,PRO,",
            "DESIGN,The Moon,,A face.,ENV_DESIGN,HARD,499.90,,,shell; The dream",
            header=header,
        )
    )
    first, second = drafts
    assert (first.title, first.reference, first.price.amount, first.required_level) == ("The shell", "shell", 5_000, Level.PRO)
    assert (second.phase, second.reference, second.price.amount) == (Phase.DESIGN, None, 49_990)
    assert (second.required_level, second.depends_on) == (Level.ROOKIE, ("shell", "The dream"))
    assert [draft.place for draft in drafts] == ["/lines/2", "/lines/3"]


@pytest.mark.parametrize(
    "data",
    [
        sheet(LINE),
        sheet(LINE).replace(b"\r\n", b"\n"),
        b"\xef\xbb\xbf" + sheet(LINE),
        sheet(LINE).rstrip(),
        sheet('"' + LINE.replace(",", '","') + '"'),
    ],
    ids=["lines end in CRLF", "lines end in LF", "byte order mark", "no end of line at the end", "all cells quoted"],
)
def test_the_usual_exports_are_taken(data: bytes) -> None:
    (draft,) = read_sheet(data)
    assert (draft.title, draft.description) == ("The shell", "One frame.")


def test_quoted_cells_hold_commas_quotes_and_line_breaks() -> None:
    (draft,) = read_sheet(sheet('The shell,"Say ""hello"",\r\nthen land.",IMAGE_GEN,EASY,SCRIPT,50'))
    assert draft.description == 'Say "hello",\r\nthen land.'


@pytest.mark.parametrize("cell", ["=1+1", "+33 1", "-2", "@SUM(A1)", "=HYPERLINK(0)"])
def test_a_cell_that_looks_like_a_formula_stays_text(cell: str) -> None:
    (draft,) = read_sheet(sheet(f"{cell},{cell},IMAGE_GEN,EASY,SCRIPT,50"))
    assert (draft.title, draft.description) == (cell, cell)


def test_every_faulty_line_is_told_at_once_with_its_line_in_the_file() -> None:
    data = sheet(
        LINE,
        'The Moon,"two\r\nlines",IMAGE_GEN,EASY,SCRIPT,50',
        "x,,IMAGE,EASIEST,SCREENPLAY,fifty",
        "Too,few",
        "",
        LINE + ",extra",
        LINE,
    )
    assert pointers(data) == [
        "/lines/5/price",
        "/lines/5/title",
        "/lines/5/description",
        "/lines/5/type",
        "/lines/5/difficulty",
        "/lines/5/phase",
        "/lines/6",
        "/lines/7",
        "/lines/8",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("title,description,type,difficulty,phase", ["/lines/1/price"]),
        (HEADER + ",colour", ["/lines/1"]),
        (HEADER + ",title", ["/lines/1/title"]),
        ("Title,description,type,difficulty,phase,price", ["/lines/1/title", "/lines/1"]),
        ("", ["/lines/1/" + name for name in HEADER.split(",")]),
    ],
    ids=["missing", "unknown", "repeated", "another case", "empty line"],
)
def test_the_header_is_checked_first(header: str, expected: list[str]) -> None:
    assert pointers(sheet(LINE, header=header)) == expected


@pytest.mark.parametrize(
    "price", ["", " 50", "50 ", "-1", "+1", "1e3", "50,00", "50.0", "50.000", "٥٠", "0x10", "1000000.01", "€50"]
)
def test_a_price_is_whole_units_or_two_decimals_within_its_limit(price: str) -> None:
    assert faults(sheet(f'The shell,One frame.,IMAGE_GEN,EASY,SCRIPT,"{price}"'))[0][0] == "/lines/2/price"


@pytest.mark.parametrize(("price", "cents"), [("0", 0), ("0.01", 1), ("50", 5_000), ("1000000.00", 100_000_000)])
def test_prices_are_read_without_rounding(price: str, cents: int) -> None:
    (draft,) = read_sheet(sheet(f"The shell,One frame.,IMAGE_GEN,EASY,SCRIPT,{price}"))
    assert draft.price.amount == cents


def test_another_currency_is_refused() -> None:
    assert pointers(sheet(LINE + ",USD", header=HEADER + ",currency")) == ["/lines/2/currency"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (sheet('The "shell",x,IMAGE_GEN,EASY,SCRIPT,50'), 2),
        (sheet('"The shell" ,x,IMAGE_GEN,EASY,SCRIPT,50'), 2),
        (sheet(LINE, '"never closed,x,IMAGE_GEN,EASY,SCRIPT,50'), 3),
        (sheet(LINE, "a\rb,x,IMAGE_GEN,EASY,SCRIPT,50"), 3),
        (sheet(LINE, LINE) + b"\xff", 4),
        (sheet(LINE).decode().encode("utf-16"), 1),
    ],
    ids=["bare quote", "text after a quote", "open quote", "lone carriage return", "not UTF-8", "UTF-16"],
)
def test_what_is_not_rfc_4180_in_utf_8_is_refused_with_the_line(data: bytes, line: int) -> None:
    assert pointers(data) == [f"/lines/{line}"]


@pytest.mark.parametrize("cell", ["nul \0", "bell \a", "escape \x1b[0m"])
def test_control_characters_are_refused(cell: str) -> None:
    assert "/lines/2/description" in pointers(sheet(f'The shell,"{cell}",IMAGE_GEN,EASY,SCRIPT,50'))


def test_an_empty_sheet_says_what_a_sheet_holds() -> None:
    assert pointers(b"") == ["/lines/1"]
    assert pointers(sheet()) == ["/lines"]


@pytest.mark.parametrize(("size", "taken"), [(PLAN_SIZE - 1, True), (PLAN_SIZE, True), (PLAN_SIZE + 1, False)])
def test_a_sheet_holds_a_thousand_tasks_at_most(size: int, taken: bool) -> None:
    data = sheet(*[LINE] * size)
    assert (len(read_sheet(data)) == size) if taken else (pointers(data) == ["/lines"])


def test_a_very_long_cell_is_a_fault_and_not_a_crash() -> None:
    assert pointers(sheet(f"The shell,{'x' * 200_000},IMAGE_GEN,EASY,SCRIPT,50"))[0].startswith("/lines/2")


cells = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)


@given(st.lists(st.lists(cells, max_size=8), max_size=6))
def test_any_table_is_either_read_or_refused_with_its_faults(rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER.split(","), *rows])
    read, told = outcome(text.getvalue().encode())
    assert all(pointer.startswith("/lines") for pointer in told)
    assert told or read == len(rows)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(data: bytes) -> None:
    read, told = outcome(data)
    assert told or read


def outcome(data: bytes) -> tuple[int, list[str]]:
    """How many tasks were read, and where the faults are."""
    try:
        return len(read_sheet(data)), []
    except Invalid as invalid:
        return 0, [fault.pointer for fault in invalid.faults]


def test_the_example_sheet_covers_all_ten_phases() -> None:
    drafts = read_sheet((Path(__file__).parent.parent / "examples" / "le-voyage-dans-la-lune.csv").read_bytes())
    assert {draft.phase for draft in drafts} == set(Phase)
    ids = [TaskId(new_id()) for _ in drafts]
    assert resolve(drafts, ids, []).faults == ()
