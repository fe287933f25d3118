"""What bytes are, whatever they are said to be."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.domain.content import HEAD_BYTES, TAIL_BYTES, Inspection, inspect
from services.media.domain.kinds import ALL_MEDIA_TYPES, TEXT_TYPES
from services.media.tests import samples
from services.media.tests.samples import FOREIGN, GENUINE

BINARY_TYPES = sorted(set(ALL_MEDIA_TYPES) - TEXT_TYPES)


def look(data: bytes, declared: str) -> Inspection:
    return inspect([data], declared)


def passes(data: bytes, declared: str) -> bool:
    found = look(data, declared)
    return found.is_declared_type and found.is_unambiguous


def test_there_is_a_sample_of_every_type_that_is_taken() -> None:
    assert set(GENUINE) == set(ALL_MEDIA_TYPES)


@pytest.mark.parametrize(("declared", "data"), [(kind, data) for kind, files in GENUINE.items() for data in files])
def test_a_genuine_file_passes_as_its_own_type(declared: str, data: bytes) -> None:
    assert passes(data, declared)


@pytest.mark.parametrize("declared", ALL_MEDIA_TYPES)
@pytest.mark.parametrize("other", BINARY_TYPES)
def test_a_binary_file_never_passes_as_another_type(declared: str, other: str) -> None:
    if declared != other:
        assert not any(passes(data, declared) for data in GENUINE[other])


@pytest.mark.parametrize("declared", BINARY_TYPES)
def test_text_never_passes_as_a_binary_type(declared: str) -> None:
    assert not any(passes(data, declared) for kind in TEXT_TYPES for data in GENUINE[kind])


@pytest.mark.parametrize("declared", ALL_MEDIA_TYPES)
@pytest.mark.parametrize("data", FOREIGN, ids=repr)
def test_what_no_category_takes_never_passes(declared: str, data: bytes) -> None:
    assert not passes(data, declared)


def test_subtitles_are_told_apart() -> None:
    assert not passes(samples.SRT, "text/vtt")
    assert not passes(samples.VTT, "text/srt")
    assert not passes(samples.PLAIN, "application/x-subrip")


@pytest.mark.parametrize(
    "start",
    [
        "<html>",
        " \n<!DOCTYPE html>",
        "\ufeff<script>",
        "<SVG onload=x>",
        "<?xml version='1.0'?>",
        "<!-- x -->",
        "<iframe src=x>",
    ],
)
@pytest.mark.parametrize("declared", ["text/plain", "text/markdown"])
def test_text_that_a_browser_takes_for_a_page_is_refused(start: str, declared: str) -> None:
    assert not look(start.encode() + b" and more", declared).is_unambiguous


@pytest.mark.parametrize(
    "hidden", [b"<script>alert(1)</script>", b"<svg onload=alert(1)>", b"<!doctype html>", b"<html>", b"%PDF-1.7"]
)
@pytest.mark.parametrize("data", [samples.GIF, samples.JPEG, samples.PNG, samples.MP3])
def test_a_picture_with_a_page_or_document_inside_is_refused(data: bytes, hidden: bytes) -> None:
    assert not look(data + hidden, next(kind for kind, files in GENUINE.items() if data in files)).is_unambiguous


@pytest.mark.parametrize("comment", [b"", b"x", b"x" * 65_535])
def test_a_file_that_also_opens_as_an_archive_is_refused(comment: bytes) -> None:
    end_record = b"PK\x05\x06" + b"\x00" * 16 + len(comment).to_bytes(2, "little") + comment
    assert not look(samples.GIF + b"\x00" * 10_000 + end_record, "image/gif").is_unambiguous
    assert not look(samples.PDF + end_record, "application/pdf").is_unambiguous


def test_four_chance_bytes_make_no_archive() -> None:
    assert look(samples.PNG + b"PK\x05\x06" + b"\xff" * 18, "image/png").is_unambiguous


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.data())
def test_any_clean_unicode_text_is_plain_text_however_it_is_cut(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[start:stop] for start, stop in pairwise([0, *cuts, len(whole)])]
    found = inspect(pieces, "text/plain")
    assert found.is_declared_type
    assert (found.size, found.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


@given(st.binary(), st.sampled_from([*b"\x00\x01\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f"]))
def test_one_control_character_anywhere_makes_text_binary(data: bytes, control: int) -> None:
    assert not look(data + bytes([control]), "text/plain").is_declared_type


@pytest.mark.parametrize("data", [b"\xff\xfe", b"caf\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"ok \xe2\x82"])
def test_bytes_that_are_not_utf_8_are_not_text(data: bytes) -> None:
    assert not look(data, "text/plain").is_declared_type


@given(st.binary(max_size=3 * HEAD_BYTES), st.integers(1, 2 * HEAD_BYTES), st.sampled_from(ALL_MEDIA_TYPES))
def test_how_a_file_is_cut_into_pieces_changes_nothing(data: bytes, step: int, declared: str) -> None:
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert inspect(pieces, declared) == look(data, declared)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_inspection(data: bytes) -> None:
    for declared in ALL_MEDIA_TYPES:
        assert look(data, declared).size == len(data)


def test_an_archive_is_found_as_far_from_the_end_as_its_format_allows() -> None:
    comment = b"c" * 65_535
    end_record = b"PK\x05\x06" + b"\x00" * 16 + len(comment).to_bytes(2, "little") + comment
    assert len(end_record) == TAIL_BYTES
    data = samples.GIF + end_record
    assert not inspect([data[at : at + 1000] for at in range(0, len(data), 1000)], "image/gif").is_unambiguous
