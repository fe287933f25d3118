"""A stand-in for an advisory reviewer: deterministic, free, and marked as a mock wherever its score appears."""

import hashlib

from services.tasks.domain.review import Advice, Material

BASE_SCORE = 50
BASE_SPREAD = 45
FLOOR, CEILING = 30, 98
SHORT_NOTES, LONG_NOTES, LONGER_NOTES = 20, 100, 200


class MockReviewer:
    """Scores by the submission's id, the length of the notes and whether files came with it; it looks into nothing."""

    def review(self, material: Material) -> Advice:
        """A score from 30 to 98, always the same for the same submission."""
        digest = hashlib.sha256(material.submission_id.bytes).digest()
        score = BASE_SCORE + int.from_bytes(digest[:8], "big") % BASE_SPREAD + _bonus(material)
        return Advice(score=min(max(score, FLOOR), CEILING), mock=True)


def _bonus(material: Material) -> int:
    length = len(material.notes)
    bonus = 8 if material.media else 0
    bonus += 5 if length > LONG_NOTES else 0
    bonus += 3 if length > LONGER_NOTES else 0
    return bonus - (15 if length < SHORT_NOTES else 0)
