"""The transparency log and the bus behind it: sealed, provable, and not behind."""

from typing import Final

from ops.bus.members import age
from ops.doctor.box import Finding, NotExamined, bad, box, judged
from ops.doctor.examined import Examined
from ops.environment import LOG_KEY_FILE
from ops.proof import Refused, UnusableKey, VerifierKey, open_checkpoint, verify

BEHIND_SECONDS_MAX: Final = 60.0
"""As `lumiere queues` counts: what waits longer needs attention."""
LEDGER_QUEUE_MAX: Final = 1_000
CHECKPOINT: Final = "/api/v1/proofs/checkpoint"


@box(
    "log-checkpoint",
    "The log's checkpoint is fresh and holds",
    fix="Does the ledger's worker run (`make logs SERVICE=ledger-worker`)? What does not hold is an incident: docs/runbooks/.",
)
def checkpoint(examined: Examined) -> Finding:
    """Does the published checkpoint hold under the log's key, cover every sealed leaf, and prove the newest event?"""
    figures = examined.figures("ledger")
    answer = examined.ask("GET", CHECKPOINT)
    if answer.status_code != 200:
        return bad(f"the log gives no checkpoint ({answer.status_code})")
    try:
        key, source = _key(examined)
        published = open_checkpoint(answer.text, key)
        newest = _proves_the_newest(examined, key)
    except (Refused, UnusableKey) as refusal:
        return bad(str(refusal))
    faults = []
    if published.size < (figures["checkpoint_size"] or 0):
        faults.append(
            f"the gateway gives one of {published.size} leaves, the log has signed one of {figures['checkpoint_size']:.0f}"
        )
    if published.size < (figures["leaves"] or 0) and (figures["checkpoint_seconds"] or 0) > BEHIND_SECONDS_MAX:
        faults.append(f"{figures['leaves']:.0f} leaves, and the newest checkpoint covers {published.size}")
    signed = age(figures["checkpoint_seconds"]) or "never"
    return judged(faults, f"{published.size} leaves, signed {signed} ago, verified by {source}; {newest}")


def _key(examined: Examined) -> tuple[VerifierKey, str]:
    """The key kept beside the platform; in a container, the one that the log itself gives."""
    kept = examined.state / LOG_KEY_FILE if examined.state else None
    if kept is not None and kept.exists():
        return VerifierKey.parse(kept.read_text(encoding="utf-8").strip()), "the key kept here"
    return VerifierKey.parse(examined.ask("GET", "/api/v1/proofs/key").text.strip()), "the key that the log gives"


def _proves_the_newest(examined: Examined, key: VerifierKey) -> str:
    items = examined.ask("GET", "/api/v1/proofs", params={"limit": 1}).json()["items"]
    if not items:
        return "no event to prove yet"
    proof = examined.ask("GET", items[0]["proof"])
    if proof.status_code != 200:
        raise Refused(f"The newest sealed event is not proved ({proof.status_code}).")
    proved = verify(proof.content, key)
    if proved.id != items[0]["event_id"]:
        raise Refused("The proof of the newest event is of another one.")
    return f"leaf {proved.index} is proved"


@box(
    "log-lag",
    "The log keeps up",
    fix="Does the ledger's worker run? `lumiere queues` shows what waits; `lumiere scale ledger-worker=2` consumes faster.",
)
def lag(examined: Examined) -> Finding:
    """Does nothing wait long to be recorded or sealed: in the ledger's queue, or among its leaves without a place?"""
    figures = examined.figures("ledger")
    waits = sum(queue.get("messages", 0) for name, queue in examined.queues().items() if _is_the_ledgers(name))
    oldest = figures["pending_oldest_seconds"] or 0
    faults = [f"{waits} events wait in the ledger's queue"] if waits > LEDGER_QUEUE_MAX else []
    if oldest > BEHIND_SECONDS_MAX:
        faults.append(f"{figures['pending_leaves']:.0f} leaves are not sealed, the oldest for {age(oldest)}")
    return judged(faults, f"{waits} events wait to be recorded, {figures['pending_leaves'] or 0:.0f} to be sealed")


def _is_the_ledgers(queue: str) -> bool:
    return queue.startswith("ledger.") and not queue.endswith(".dead")


@box(
    "outbox",
    "No outbox grows",
    fix="docs/bus.md, a growing outbox: does the worker run, does the broker take messages (memory, disk)?",
)
def outbox(examined: Examined) -> Finding:
    """Has no service an event that was committed more than a minute ago and is not published yet?"""
    return _waiting(examined, "outbox", "unpublished")


@box(
    "parked-events",
    "No event waits for an earlier one",
    fix="docs/bus.md, parked events: `lumiere events show ID`; nearly always the earlier one is a dead letter.",
)
def parked(examined: Examined) -> Finding:
    """Has no event been parked for more than a minute, since an earlier one of its aggregate is missing?"""
    return _waiting(examined, "parked", "parked")


def _waiting(examined: Examined, what: str, word: str) -> Finding:
    counted, faults = 0, []
    for service in examined.services:
        figures = examined.figures(service)
        count, oldest = int(figures[f"{what}_events"] or 0), figures[f"{what}_oldest_seconds"] or 0
        counted += count
        if oldest > BEHIND_SECONDS_MAX:
            faults.append(f"{service} has {count} {word} events, the oldest for {age(oldest)}")
    if not examined.services:
        raise NotExamined("no service is known here")
    return judged(faults, f"{counted} {word} events in {len(examined.services)} services, none for long")
