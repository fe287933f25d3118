"""A transparency log in memory, made with the service's own rules, for whoever verifies."""

from dataclasses import dataclass
from functools import cache

from ops.proof import VerifierKey
from services.ledger.domain import merkle, notes, proofs
from services.ledger.domain.leaves import leaf_of
from services.ledger.domain.merkle import Node
from services.ledger.domain.notes import NoteSigner

ORIGIN = "log.example/proofs"
SIGNER = NoteSigner(ORIGIN, bytes(range(32)))
KEY = VerifierKey.parse(SIGNER.verifier_key)
OTHER_SIGNER = NoteSigner(ORIGIN, bytes(range(1, 33)))
SIZE = 300


def event(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"01980000-0000-7000-8000-{number:012d}",
        "source": "/services/tasks",
        "type": "tasks.task.validated",
        "subject": f"task-{number}",
        "time": "2026-01-02T03:04:05Z",
        "data": {"number": number, "title": "La lune à un mètre"},
    }


@dataclass(frozen=True)
class Log:
    """A log in memory, made with the service's rules."""

    leaves: list[bytes]
    nodes: dict[Node, bytes]

    def checkpoint(self, size: int, signer: NoteSigner = SIGNER) -> str:
        return signer.sign(notes.checkpoint_text(ORIGIN, size, merkle.root(size, self.nodes)))

    def proof(self, index: int, size: int, signer: NoteSigner = SIGNER) -> bytes:
        hashes = merkle.evaluate(merkle.inclusion_plan(index, size), self.nodes)
        return proofs.proof_file(self.leaves[index], index, hashes, self.checkpoint(size, signer)).encode()

    def consistency(self, first: int, second: int) -> list[bytes]:
        return merkle.evaluate(merkle.consistency_plan(first, second), self.nodes)


@cache
def log(size: int = SIZE) -> Log:
    leaves = [leaf_of(event(number)) for number in range(size)]
    return Log(leaves, merkle.grow(0, {}, [merkle.hash_leaf(leaf) for leaf in leaves]))


PROOF = log().proof(7, 21)
