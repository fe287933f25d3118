"""Proofs of possession that were used, so that none counts twice at whatever replica (RFC 9449 section 11.1)."""

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from libs.common.auth.dpop import Proof
from libs.common.db import Database, Transaction
from libs.common.db.tables import KernelTables


def spend(database: Database, tables: KernelTables, proof: Proof) -> bool:
    """Use a proof up, in a transaction of its own; whether it was new. Of two at once one is."""
    row = {"digest": proof.digest, "forgotten_at": proof.forgotten_at}
    with database.transaction() as tx:
        return tx.execute(insert(tables.used_proof).on_conflict_do_nothing(), row).rowcount == 1


def purge(tx: Transaction, tables: KernelTables) -> int:
    """Forget proofs that are refused for their age alone; returns how many."""
    return tx.execute(delete(tables.used_proof).where(tables.used_proof.c.forgotten_at < tx.now)).rowcount
