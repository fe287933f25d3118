"""HTTP doors of the ledger. Everything the log holds is public: a proof that only some may check is none."""

import gzip
from base64 import b64encode
from typing import Any
from uuid import UUID

from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from libs.common.auth.policy import PUBLIC, Rate
from libs.common.db import Reader
from libs.common.http import Document, Page, Produced, RequestInfo, Routes, page_of
from libs.common.http.routes import API_PREFIX
from services.ledger import queries, use_cases
from services.ledger.domain.notes import NoteSigner
from services.ledger.schemas import SIZE_MAX, Consistency, ConsistencyQuery, ProofQuery, SealedEvent

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
KEY_EXAMPLE = "lumiere.film+3d9c1f0a+AYx0pQ2sYbq8m0v9Yx4m1Wm3mJ2c7k5n8r1t4u6w0yA=\n"
CHECKPOINT_EXAMPLE = (
    "lumiere.film\n1024\nn4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\n\n— lumiere.film PZwfCg3kq0bVb2R1c3RlIGxhIGx1bmU=\n"
)
PROOF_EXAMPLE = "c2sp.org/tlog-proof@v1\nextra eyJ0eXBlIjoidGFza3MudGFzay52YWxpZGF0ZWQifQ==\nindex 12\n\n" + CHECKPOINT_EXAMPLE
FOR_MOMENTS = {"Cache-Control": "public, max-age=1"}
FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}

routes = Routes("ledger")


@routes.get("/proofs/checkpoint", allow=PUBLIC, rate=Rate.PUBLIC, produces=(Produced(TEXT, CHECKPOINT_EXAMPLE),))
def checkpoint(db: Reader) -> Document:
    """The log's newest checkpoint: a signed note of its size and root hash.

    Format: https://c2sp.org/tlog-checkpoint.
    """
    _, note = use_cases.current_checkpoint(db)
    return Document(note.encode(), TEXT, FOR_MOMENTS)


@routes.get("/proofs/key", allow=PUBLIC, rate=Rate.PUBLIC, produces=(Produced(TEXT, KEY_EXAMPLE),))
def verifier_key(signer: NoteSigner) -> Document:
    """The log's verifier key.

    Compare it with one from another source before you trust it: whoever forges proofs can forge this answer too.
    """
    return Document(f"{signer.verifier_key}\n".encode(), TEXT, FOR_MOMENTS)


@routes.get("/proofs/tile/<path:address>", allow=PUBLIC, rate=Rate.PUBLIC, produces=(Produced(BYTES),))
def tile(address: str, db: Reader, request: RequestInfo) -> Document:
    """A tile of hashes, or a bundle of entries.

    Format: https://c2sp.org/tlog-tiles. What this answers never changes.
    """
    found, content = use_cases.read_tile(db, address)
    return Document(content, BYTES, FOR_GOOD) if found.level is not None else _compressed(content, request)


@routes.get("/proofs/events/<event_id>", allow=PUBLIC, rate=Rate.PUBLIC, produces=(Produced(TEXT, PROOF_EXAMPLE),))
def event_proof(event_id: UUID, db: Reader) -> Document:
    """The proof file of one event.

    Format: https://c2sp.org/tlog-proof, with the leaf in the `extra` line. 404 with Retry-After until the event is sealed.
    """
    headers = {"Content-Disposition": f'attachment; filename="{event_id}.tlog-proof"', "Cache-Control": "no-cache"}
    return Document(use_cases.prove_event(db, event_id).encode(), TEXT, headers)


@routes.get("/proofs/consistency", allow=PUBLIC, rate=Rate.PUBLIC)
def consistency(query: ConsistencyQuery, db: Reader) -> Consistency:
    """Proof that the log was only added to between two sizes (RFC 6962 section 2.1.2)."""
    hashes = use_cases.prove_consistency(db, query.first, query.second)
    return Consistency(first=query.first, second=query.second, hashes=tuple(hashes))


@routes.get("/proofs", allow=PUBLIC, rate=Rate.PUBLIC)
def sealed_events(query: ProofQuery, db: Reader) -> Page[SealedEvent]:
    """Events that can be proved, newest first; by type, by what they are about, or all."""
    (before,) = query.after(int) or (SIZE_MAX,)
    rows = queries.listed(db, {"type": query.type, "entity_id": query.entity_id}, before, query.limit + 1)
    return page_of(rows, query.limit, _view, lambda row: (row.leaf_index,))


def _view(row: Any) -> SealedEvent:
    return SealedEvent(
        event_id=row.event_id,
        type=row.type,
        entity_id=row.entity_id,
        index=row.leaf_index,
        occurred_at=row.occurred_at,
        leaf_hash=b64encode(bytes(row.leaf_hash)).decode(),
        proof=f"{API_PREFIX}/proofs/events/{row.event_id}",
    )


def _compressed(content: bytes, request: RequestInfo) -> Document:
    """Entries are text that says similar things: gzip takes off most of it."""
    headers = {**FOR_GOOD, "Vary": "Accept-Encoding"}
    if parse_accept_header(request.headers.get("Accept-Encoding"), Accept).quality("gzip") <= 0:
        return Document(content, BYTES, headers)
    return Document(gzip.compress(content, mtime=0), BYTES, {**headers, "Content-Encoding": "gzip"})
