"""The operator's door: commands run beside the service, by whoever may start its processes."""

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, cast

from libs.common.db import Reader
from libs.common.errors import Problem
from libs.common.service import Assembled
from libs.common.telemetry import context
from services.ledger import queries, use_cases
from services.ledger.domain.notes import NoteSigner
from services.ledger.domain.restoring import TreeHead

DONE, REFUSED = 0, 1


def standing_command(assembled: Assembled, _arguments: Sequence[str]) -> int:
    """`standing`: how the log stands, one JSON document."""
    signer = _signer(assembled)
    with assembled.database.reader() as db:
        return _say({"name": signer.name, "verifier_key": signer.verifier_key, **_standing(db, signer)})


def restored_command(assembled: Assembled, _arguments: Sequence[str]) -> int:
    """`restored`: the database came from a backup. A JSON document on standard input: `source`, and `published` if a newer
    checkpoint is known: `origin`, `size`, `root_hash` (base64).
    """
    given = json.loads(sys.stdin.read())
    published = given.get("published")
    head = TreeHead(published["origin"], published["size"], b64decode(published["root_hash"])) if published else None
    signer = _signer(assembled)
    with context.bound(actor="operator"), assembled.database.transaction() as tx:
        use_cases.record_restoration(tx, given["source"], signer.name, head)
        standing = _standing(tx, signer)
    return _say(standing)


def resume_command(assembled: Assembled, _arguments: Sequence[str]) -> int:
    """`resume`: the log may sign again; the statement is what standard input holds."""
    signer = _signer(assembled)
    try:
        with context.bound(actor="operator"), assembled.database.transaction() as tx:
            use_cases.resume(tx, signer, sys.stdin.read().strip())
            standing = _standing(tx, signer)
    except Problem as problem:
        sys.stderr.write(f"{problem.detail}\n")
        return REFUSED
    return _say(standing)


def _standing(db: Reader, signer: NoteSigner) -> dict[str, Any]:
    own = use_cases.own_head(db)
    return {
        "may_sign": queries.may_sign(db, signer.name),
        "own": _head(own),
        "restorations": [
            {
                "restored_at": row.restored_at.isoformat(),
                "source": row.source,
                "own": _head(TreeHead(row.origin, row.size, bytes(row.root_hash))),
                "published": _head(use_cases.published_head(row)),
                "resumed_as": row.resumed_as,
                "statement": row.statement,
            }
            for row in queries.restorations(db)
        ],
    }


def _head(head: TreeHead | None) -> dict[str, Any] | None:
    if head is None:
        return None
    return {"origin": head.origin, "size": head.size, "root_hash": b64encode(head.root_hash).decode()}


def _signer(assembled: Assembled) -> NoteSigner:
    return cast(NoteSigner, assembled.resources[NoteSigner])


def _say(document: dict[str, Any]) -> int:
    sys.stdout.write(json.dumps(document) + "\n")
    return DONE
