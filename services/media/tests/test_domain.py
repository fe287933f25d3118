"""The rules of uploads: declarations, addresses, ranges, states and the verdict."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.media.domain import uploads as rules
from services.media.domain.addresses import AddressExpired, AddressRefused, Door, Grant, Signer
from services.media.domain.content import Inspection
from services.media.domain.kinds import FILENAME_MAX, MEDIA_TYPES, Category, filename_fault, is_taken
from services.media.domain.ranges import RangeOutsideFile, slice_of
from services.media.domain.storage import ContentOverrun, ContentShort, Receipt, StorageKey
from services.media.domain.uploads import GONE, TRANSITIONS, Declaration, Rejection, Status, Upload

OWNER = UUID(int=1)
STRANGER = UUID(int=2)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
SIGNER = Signer("a secret only for this test, long enough")
SHA = "ab" * 32

grants = st.builds(
    Grant,
    st.sampled_from(Door),
    st.uuids(),
    st.integers(1, 500 * 1024 * 1024),
    st.sampled_from(sorted(MEDIA_TYPES[Category.VIDEO])),
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants bare bounds


def upload(status: Status = Status.RECEIVED, sha256: str | None = None, received: str = SHA, size: int = 10) -> Upload:
    declared = Declaration(Category.IMAGE, "a.png", "image/png", size, sha256, "SUBMISSION")
    return Upload(
        id=uuid5(OWNER, "upload"),
        owner_id=OWNER,
        declared=declared,
        status=status,
        created_at=NOW,
        expires_at=rules.expiry(NOW),
        version=1,
        storage_key=StorageKey("k"),
        receipt=Receipt(size, received),
    )


@given(grants, moments)
def test_an_address_opens_what_it_was_made_for_until_its_time_is_over(grant: Grant, expires_at: datetime) -> None:
    token = SIGNER.token(grant, expires_at)
    whole = expires_at.replace(microsecond=0)
    SIGNER.check(token, grant, whole - timedelta(seconds=1))
    for late in (whole, whole + timedelta(seconds=1)):
        with pytest.raises(AddressExpired):
            SIGNER.check(token, grant, late)


@given(grants, grants, moments)
def test_an_address_opens_nothing_else(grant: Grant, other: Grant, expires_at: datetime) -> None:
    token = SIGNER.token(grant, expires_at)
    if other != grant:
        with pytest.raises(AddressRefused):
            SIGNER.check(token, other, expires_at - timedelta(seconds=2))


@given(grants, moments, st.data())
def test_an_edited_token_is_refused(grant: Grant, expires_at: datetime, data: st.DataObject) -> None:
    token = SIGNER.token(grant, expires_at)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda character: character != token[at]))
    for edited in (token[:at] + other + token[at + 1 :], token[:at], token + other, f"0{token}", ""):
        with pytest.raises(AddressRefused):
            SIGNER.check(edited, grant, expires_at - timedelta(days=1))


@given(grants, moments)
def test_another_secret_makes_other_addresses(grant: Grant, expires_at: datetime) -> None:
    with pytest.raises(AddressRefused):
        SIGNER.check(
            Signer("another secret for this test, as long").token(grant, expires_at), grant, expires_at - timedelta(days=1)
        )


@given(st.text())
def test_no_token_breaks_the_check(token: str) -> None:
    with pytest.raises((AddressRefused, AddressExpired)):
        SIGNER.check(token, Grant(Door.UPLOAD, OWNER, 1, "image/png"), NOW)


@given(st.integers(1, 1000), st.integers(0, 1200), st.integers(0, 1200))
def test_a_range_gives_exactly_the_bytes_asked_for(size: int, first: int, last: int) -> None:
    data = bytes(range(256)) * 4
    content = data[:size]
    if first >= size and first <= last:
        with pytest.raises(RangeOutsideFile):
            slice_of(f"bytes={first}-{last}", size)
        return
    part = slice_of(f"bytes={first}-{last}", size)
    expected = content[first : last + 1] if first <= last else content
    assert content[part.start : part.stop] == expected
    assert part.length == len(expected)


@given(st.integers(1, 1000), st.integers(1, 1200))
def test_a_suffix_range_gives_the_last_bytes(size: int, length: int) -> None:
    content = (bytes(range(256)) * 4)[:size]
    part = slice_of(f"bytes=-{length}", size)
    assert content[part.start : part.stop] == content[-length:]
    assert not part.whole


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1-2,4-5", "bytes=5-2", "bytes=1-" + "9" * 21]
)
def test_what_is_not_one_plain_range_gives_the_whole_file(header: str | None) -> None:
    assert slice_of(header, 10).whole


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_after_the_end_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeOutsideFile) as refused:
        slice_of(header, 10)
    assert refused.value.headers() == {"Content-Range": "bytes */10"}


@pytest.mark.parametrize(
    "name", ["a.png", "été à la plage.mp4", "月世界旅行.srt", "..png", "x" * FILENAME_MAX, "a b 'c' \"d\""]
)
def test_an_honest_filename_is_taken(name: str) -> None:
    assert filename_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        ".",
        "..",
        "../a",
        "a/b",
        "..\\a",
        "C:\\a",
        "a\x00b",
        "a\nb",
        "a\x7f",
        "gpj.\u202eexe",
        "\u2066a",
        "a\u2028b",
        "x" * (FILENAME_MAX + 1),
    ],
)
def test_a_filename_with_a_path_or_hidden_characters_is_refused(name: str) -> None:
    assert filename_fault(name)


def test_no_category_takes_pages_drawings_or_programs() -> None:
    for category in Category:
        for kind in (
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "application/javascript",
            "application/zip",
            "IMAGE/PNG",
            "",
        ):
            assert not is_taken(category, kind)


def test_only_deleted_and_expired_are_final() -> None:
    assert {status for status, after in TRANSITIONS.items() if not after} == GONE
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("start", Status)
def test_every_state_leads_to_a_final_one(start: Status) -> None:
    reached, frontier = {start}, {start}
    while frontier := {after for status in frontier for after in TRANSITIONS[status]} - reached:
        reached |= frontier
    assert reached & GONE


def test_nobody_but_owner_and_administrators_sees_a_file() -> None:
    seen = upload(Status.READY)
    assert seen.visible_to(OWNER, is_administrator=False) is seen
    assert seen.visible_to(STRANGER, is_administrator=True) is seen
    with pytest.raises(rules.MediaNotFound):
        seen.visible_to(STRANGER, is_administrator=False)


@pytest.mark.parametrize("status", sorted(GONE))
def test_nobody_sees_what_is_gone(status: Status) -> None:
    with pytest.raises(rules.MediaNotFound):
        upload(status).visible_to(OWNER, is_administrator=True)


@given(
    size=st.integers(1, 100),
    declared_sha=st.sampled_from([None, SHA, "cd" * 32]),
    found_sha=st.sampled_from([SHA, "cd" * 32]),
    found_size=st.integers(1, 100),
    matches=st.booleans(),
    clear=st.booleans(),
)
def test_only_a_file_that_is_all_it_was_declared_to_be_passes(
    size: int, declared_sha: str | None, found_sha: str, found_size: int, matches: bool, clear: bool
) -> None:
    promised = upload(sha256=declared_sha, received=SHA, size=size)
    honest = found_size == size and declared_sha in {None, found_sha} and found_sha == SHA and matches and clear
    assert (rules.verdict(promised, Inspection(found_size, found_sha, matches, clear)) is None) == honest


def test_lost_bytes_are_rejected_as_missing() -> None:
    assert rules.verdict(upload(), None) is Rejection.MISSING


@pytest.mark.parametrize("rejection", Rejection)
def test_every_rejection_says_what_to_do(rejection: Rejection) -> None:
    assert len(rejection.sentence) > 20


@pytest.mark.parametrize("open_uploads", [0, rules.PENDING_MAX - 1])
def test_there_is_room_below_the_limit_of_open_uploads(open_uploads: int) -> None:
    rules.check_room(open_uploads)


@pytest.mark.parametrize("open_uploads", [rules.PENDING_MAX, rules.PENDING_MAX + 1])
def test_there_is_no_room_at_the_limit_of_open_uploads(open_uploads: int) -> None:
    with pytest.raises(rules.TooManyPendingUploads):
        rules.check_room(open_uploads)


def test_a_length_other_than_declared_is_refused_before_a_byte_is_read() -> None:
    rules.check_length(None, 10)
    rules.check_length(10, 10)
    with pytest.raises(ContentShort):
        rules.check_length(9, 10)
    with pytest.raises(ContentOverrun):
        rules.check_length(11, 10)


def test_the_charset_of_text_does_not_count() -> None:
    rules.check_content_type("Text/Plain; charset=utf-8", "text/plain")
    with pytest.raises(rules.ContentTypeDiffers):
        rules.check_content_type("text/html", "text/plain")
