"""The proof file that an event's owner keeps: https://c2sp.org/tlog-proof."""

from base64 import b64encode
from collections.abc import Sequence

PROOF_FORMAT = "c2sp.org/tlog-proof@v1"


def proof_file(leaf: bytes, index: int, hashes: Sequence[bytes], checkpoint: str) -> str:
    """A proof that stands alone: the leaf travels in the `extra` line, so that only the verifier key is needed besides."""
    lines = [
        PROOF_FORMAT,
        f"extra {b64encode(leaf).decode()}",
        f"index {index}",
        *(b64encode(each).decode() for each in hashes),
    ]
    return "\n".join(lines) + "\n\n" + checkpoint
