"""Signed notes against the published examples: https://c2sp.org/signed-note and golang.org/x/mod/sumdb/note."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import notes
from services.ledger.domain.notes import NoteSigner, SigningKeyError

# The example of the documentation of golang.org/x/mod/sumdb/note: public for years, and it signs nothing of ours.
EXAMPLE_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # pragma: allowlist secret
EXAMPLE_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"  # pragma: allowlist secret
EXAMPLE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
EXAMPLE_NOTE = (
    f"{EXAMPLE_TEXT}\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_key_signs_the_published_note_byte_for_byte() -> None:
    signer = NoteSigner.parse(EXAMPLE_PRIVATE)

    assert signer.verifier_key == EXAMPLE_VERIFIER
    assert signer.private_key == EXAMPLE_PRIVATE
    assert signer.sign(EXAMPLE_TEXT) == EXAMPLE_NOTE


@given(st.from_regex(r"[a-z0-9./:-]{1,40}", fullmatch=True))
def test_a_generated_key_is_read_back_as_itself(name: str) -> None:
    signer = NoteSigner.generate(name)

    again = NoteSigner.parse(signer.private_key)

    assert (again.name, again.key_id, again.verifier_key) == (signer.name, signer.key_id, signer.verifier_key)
    assert again.sign("text\n") == signer.sign("text\n")


def test_two_generated_keys_differ() -> None:
    assert NoteSigner.generate("log.example").private_key != NoteSigner.generate("log.example").private_key


def test_no_part_of_a_signing_key_is_a_signing_key() -> None:
    for start in range(len(EXAMPLE_PRIVATE)):
        for end in range(start, len(EXAMPLE_PRIVATE) + (start > 0)):
            with pytest.raises(SigningKeyError):
                NoteSigner.parse(EXAMPLE_PRIVATE[start:end])


def test_a_signing_key_with_one_character_changed_is_refused() -> None:
    for position, character in enumerate(EXAMPLE_PRIVATE):
        with pytest.raises(SigningKeyError):
            NoteSigner.parse(EXAMPLE_PRIVATE[:position] + chr(ord(character) + 1) + EXAMPLE_PRIVATE[position + 1 :])


@pytest.mark.parametrize("material", [b"", b"\x01", b"\x01" + bytes(31), b"\x01" + bytes(33), b"\x02" + bytes(32)])
def test_key_material_of_another_kind_or_length_is_refused(material: bytes) -> None:
    with pytest.raises(SigningKeyError):
        NoteSigner.parse(f"PRIVATE+KEY+PeterNeumann+c74f20a3+{base64.b64encode(material).decode()}")


def test_the_error_and_the_representation_never_show_the_key() -> None:
    with pytest.raises(SigningKeyError) as refused:
        NoteSigner.parse(EXAMPLE_PRIVATE.replace("c74f20a3", "c74f20a4"))

    assert "AYEK" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert "AYEK" not in repr(NoteSigner.parse(EXAMPLE_PRIVATE))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\x7fb", "a\tb"])
def test_a_name_with_a_space_a_plus_or_nothing_is_refused(name: str) -> None:
    assert not notes.is_key_name(name)
    with pytest.raises(SigningKeyError):
        NoteSigner(name, bytes(32))


@pytest.mark.parametrize("text", ["", "no newline", "bell\x07\n", "carriage\r\n", "tab\t\n"])
def test_text_that_cannot_stand_in_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError, match="text of a note"):
        NoteSigner.parse(EXAMPLE_PRIVATE).sign(text)


def test_a_checkpoint_has_origin_size_and_root_a_line_each() -> None:
    root_hash = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")

    text = notes.checkpoint_text("example.com/behind-the-sofa", 20_852_163, root_hash)

    assert text == "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
