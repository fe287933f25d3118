"""Profiles: what a person can do, which languages they speak, and where they are paid."""

from collections.abc import Sequence
from enum import StrEnum

import langcodes
from Crypto.Hash import keccak  # nosec B413 - this is pycryptodome, not the abandoned pyCrypto
from langcodes.tag_parser import LanguageTagError

LANGUAGES_MAXIMUM = 9
"""Languages that a profile may name."""
LANGUAGE_LENGTH_MAXIMUM = 35
"""Characters of a language tag that systems must be able to take (RFC 5646, section 4.4.1)."""
WALLET_ADDRESS_LENGTH = 42
_NOBODYS_WALLET = "0x" + 40 * "0"


class Skill(StrEnum):
    """What somebody can do: the kinds of micro-task."""

    PROMPT_WRITING = "PROMPT_WRITING"
    IMAGE_GEN = "IMAGE_GEN"
    VIDEO_REVIEW = "VIDEO_REVIEW"
    STUNT_CAPTURE = "STUNT_CAPTURE"
    DANCE_CAPTURE = "DANCE_CAPTURE"
    DIALOGUE_EDIT = "DIALOGUE_EDIT"
    COLOR_GRADE = "COLOR_GRADE"
    SOUND_DESIGN = "SOUND_DESIGN"
    CONTINUITY_CHECK = "CONTINUITY_CHECK"
    QA_REVIEW = "QA_REVIEW"
    CHARACTER_DESIGN = "CHARACTER_DESIGN"
    ENV_DESIGN = "ENV_DESIGN"
    MOTION_REF = "MOTION_REF"
    COMPOSITING = "COMPOSITING"
    TRANSLATION = "TRANSLATION"
    SUBTITLE = "SUBTITLE"


SKILLS_MAXIMUM = len(Skill)


def skills(given: Sequence[Skill]) -> list[Skill]:
    """Return the skills, each once; raises ValueError."""
    if len(set(given)) < len(given):
        raise ValueError("must name each skill once")
    return list(given)


def language(tag: str) -> str:
    """Return a language in its one spelling (BCP 47): language, and where it matters script and region. Raises ValueError."""
    fault = ValueError("must be a language tag such as fr, pt-BR or zh-Hant")
    if not tag.isascii() or len(tag) > LANGUAGE_LENGTH_MAXIMUM:
        raise fault
    try:
        spelled = langcodes.standardize_tag(tag)
        known = langcodes.Language.get(spelled)
    except LanguageTagError:
        raise fault from None
    plain = not (known.extensions or known.private or known.variants or known.extlangs)
    # "x-…" is private use, which means something to two people only; "und" means nothing to anybody.
    named = known.language is not None and known.language != "und" and not known.language.startswith("x-")
    if not plain or not named or not langcodes.tag_is_valid(spelled):
        raise fault
    return spelled


def languages(given: Sequence[str]) -> list[str]:
    """Return the languages in their one spelling, each once and in the person's order; raises ValueError."""
    spelled = [language(each) for each in given]
    if len(set(spelled)) < len(spelled):
        raise ValueError("must name each language once")
    return spelled


def wallet_address(text: str) -> str:
    """Return an address of an Ethereum account with its checksum (EIP-55); raises ValueError.

    Written in one case it carries no checksum and is taken as it is; in mixed case the checksum must hold.
    """
    digits = text[2:]
    if len(text) != WALLET_ADDRESS_LENGTH or text[:2] != "0x" or not set(digits) <= set("0123456789abcdefABCDEF"):
        raise ValueError("must be 0x and 40 hexadecimal digits")
    spelled = _with_checksum(digits.lower())
    if digits not in {digits.lower(), digits.upper()} and text != spelled:
        raise ValueError("has a checksum that does not fit (EIP-55); copy the address anew")
    if text.lower() == _NOBODYS_WALLET:
        raise ValueError("must be somebody's: what is sent to the zero address is lost")
    return spelled


def _with_checksum(digits: str) -> str:
    hashed = keccak.new(digest_bits=256, data=digits.encode()).hexdigest()
    return "0x" + "".join(digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, hashed, strict=False))
