"""AUTH_SECRET is rotated with an overlap: what it protects stays readable, and the old one opens nothing afterwards."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, text

from libs.common.db import Transaction
from libs.common.testing import Harness
from services.auth import queries
from services.auth.adapters.passwords import BcryptHasher
from services.auth.adapters.root import KeptRoot
from services.auth.domain.secrets import MasterSecret, SealingSecrets
from services.auth.domain.tokens import new_signing_key, seal_signing_key, unseal_signing_key
from services.auth.models import root_key, signing_key
from services.auth.tests.conftest import Time
from services.auth.use_cases.root import FORGOTTEN_AFTER, SealedUnderAnotherSecret, forget_secrets

OLD = MasterSecret("the secret of last quarter, long enough")
NEW = MasterSecret("the secret of this quarter, long enough")
REPLICAS = 8


@pytest.fixture
def fresh(harness: Harness) -> Iterator[Harness]:
    """No root yet, and no keys; afterwards the root is again the one that the service holds."""
    with harness.transaction() as tx:
        before = tx.all(text("SELECT * FROM auth.root_key"))
        _forget_everything(tx)
    yield harness
    with harness.transaction() as tx:
        _forget_everything(tx)
        for row in before:
            tx.execute(insert(root_key), row._asdict())


def _forget_everything(tx: Transaction) -> None:
    tx.execute(delete(signing_key))
    tx.execute(delete(root_key))


def kept(harness: Harness, current: MasterSecret, previous: MasterSecret | None = None) -> KeptRoot:
    """The root as a replica with these secrets in its environment holds it."""
    return KeptRoot(harness.database, SealingSecrets(current, previous))


def opened_by(harness: Harness) -> set[str]:
    with harness.database.reader() as db:
        return {row.secret_id for row in queries.roots(db)}


def forget(harness: Harness, current: MasterSecret, previous: MasterSecret | None = None) -> int:
    with harness.transaction() as tx:
        return forget_secrets(tx, SealingSecrets(current, previous))


def test_replicas_that_start_together_agree_on_one_random_root(fresh: Harness) -> None:
    replicas = [kept(fresh, OLD) for _ in range(REPLICAS)]
    with ThreadPoolExecutor(REPLICAS) as pool:
        roots = set(pool.map(lambda one: one.material, replicas))

    assert len(roots) == 1
    assert OLD.material not in roots
    with fresh.database.reader() as db:
        assert roots.pop() not in bytes(queries.roots(db)[0].sealed)


def test_what_was_made_under_the_old_secret_holds_under_the_new_one(fresh: Harness) -> None:
    key, before = new_signing_key(), kept(fresh, OLD)
    sealed, name = seal_signing_key(key, before), before.pseudonym("ada@example.org")
    password = BcryptHasher(before, 4, threads=1, queue=0, wait_seconds=5).hash("a password nobody guesses")

    after = kept(fresh, NEW, OLD)

    assert unseal_signing_key(str(key.kid), sealed, after).thumbprint() == key.thumbprint()
    assert (after.id, after.pseudonym("ada@example.org")) == (before.id, name)
    assert BcryptHasher(after, 4, threads=1, queue=0, wait_seconds=5).verify("a password nobody guesses", password)


def test_while_both_are_named_old_and_new_replicas_start_in_any_order(fresh: Harness) -> None:
    roots = [kept(fresh, *secrets).material for secrets in ((OLD,), (NEW, OLD), (OLD,), (NEW, OLD), (NEW,))]

    assert len(set(roots)) == 1
    assert opened_by(fresh) == {OLD.id, NEW.id}


def test_the_old_secret_opens_nothing_once_it_is_named_no_more(fresh: Harness, time: Time) -> None:
    root = kept(fresh, OLD).material
    time.passes(timedelta(days=90))
    assert kept(fresh, NEW, OLD).material == root

    assert forget(fresh, NEW, OLD) == 0
    time.passes(FORGOTTEN_AFTER - timedelta(seconds=1))
    assert forget(fresh, NEW) == 0
    time.passes(timedelta(seconds=1))
    assert forget(fresh, NEW, OLD) == 0
    assert forget(fresh, NEW) == 1

    assert opened_by(fresh) == {NEW.id}
    assert kept(fresh, NEW).material == root
    with pytest.raises(SealedUnderAnotherSecret):
        _ = kept(fresh, OLD).material
    assert forget(fresh, NEW) == 0


def test_a_replica_that_still_has_the_old_secret_alone_takes_nothing_from_the_new_one(fresh: Harness, time: Time) -> None:
    root = kept(fresh, OLD).material
    time.passes(FORGOTTEN_AFTER)
    assert kept(fresh, NEW, OLD).material == root

    assert forget(fresh, OLD) == 0
    assert kept(fresh, NEW).material == root


def test_a_secret_that_nobody_knows_opens_nothing_and_forgets_nothing(fresh: Harness, time: Time) -> None:
    root = kept(fresh, OLD).material
    time.passes(FORGOTTEN_AFTER)

    with pytest.raises(SealedUnderAnotherSecret):
        _ = kept(fresh, NEW).material

    assert forget(fresh, NEW) == 0
    assert kept(fresh, OLD).material == root


def test_keys_that_were_derived_from_the_secret_itself_stay_readable(fresh: Harness) -> None:
    key = new_signing_key()
    with fresh.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO auth.signing_key (id, public_jwk, private_sealed, secret_id, state, published_at, activated_at) "
                "VALUES (:id, '{}', :sealed, :secret, 'ACTIVE', now(), now())"
            ),
            {"id": key.kid, "sealed": seal_signing_key(key, OLD), "secret": OLD.id},
        )

    assert kept(fresh, NEW, OLD).material == OLD.material
    assert kept(fresh, NEW).material == OLD.material


def test_no_root_is_made_beside_keys_that_another_secret_opens(fresh: Harness) -> None:
    key = new_signing_key()
    with fresh.transaction() as tx:
        tx.execute(
            text(
                "INSERT INTO auth.signing_key (id, public_jwk, private_sealed, secret_id, state, published_at, activated_at) "
                "VALUES (:id, '{}', :sealed, :secret, 'ACTIVE', now(), now())"
            ),
            {"id": key.kid, "sealed": seal_signing_key(key, OLD), "secret": OLD.id},
        )

    with pytest.raises(SealedUnderAnotherSecret):
        _ = kept(fresh, NEW).material
    assert opened_by(fresh) == set()
    assert kept(fresh, NEW, OLD).material == OLD.material


def test_the_next_secret_is_told_in_the_trail(fresh: Harness) -> None:
    _ = kept(fresh, OLD).material
    _ = kept(fresh, NEW, OLD).material

    with fresh.database.reader() as db:
        rows = db.all(text("SELECT entity_id FROM auth.audit_record WHERE action = 'root.sealed' ORDER BY id DESC LIMIT 2"))
    assert [row.entity_id for row in rows] == [NEW.id, OLD.id]
