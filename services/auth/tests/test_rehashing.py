"""A password that lags behind is hashed anew when its owner shows it, and nobody is locked out by that."""

from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
from sqlalchemy import text

from libs.common.testing import Harness
from services.auth.adapters.passwords import BcryptHasher, Busy
from services.auth.domain.passwords import PREHASH_VERSION, PasswordHasher, StoredPassword, prehash
from services.auth.domain.secrets import MasterSecret
from services.auth.tests.conftest import PASSWORD, Person

EARLIER = MasterSecret("Nn4-earlier-Wq8sYd2hB7rC5aFgT9xL3v")
ROUNDS = 5


def hasher_of(harness: Harness, rounds: int, earlier: tuple[MasterSecret, ...] = ()) -> BcryptHasher:
    secret = harness.resource(MasterSecret)
    return BcryptHasher(secret, rounds, threads=2, queue=20, wait_seconds=5, earlier=earlier)


@pytest.fixture
def dearer(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> BcryptHasher:
    """The service after its operator raised the cost by one, with an earlier secret still known."""
    new, old = hasher_of(harness, ROUNDS, (EARLIER,)), harness.resource(PasswordHasher)  # type: ignore[type-abstract]
    for name in ("hash", "verify", "outdated"):
        monkeypatch.setattr(old, name, getattr(new, name))
    return new


def stored(harness: Harness) -> StoredPassword:
    with harness.transaction() as tx:
        return StoredPassword.parse(tx.scalar(text("SELECT password_hash FROM auth.password_credential")))


def store(harness: Harness, password: StoredPassword) -> None:
    with harness.transaction() as tx:
        tx.execute(text("UPDATE auth.password_credential SET password_hash = :hash"), {"hash": str(password)})


def made_with(secret: MasterSecret, rounds: int, version: int = PREHASH_VERSION) -> StoredPassword:
    hashed = bcrypt.hashpw(prehash(PASSWORD, secret, version), bcrypt.gensalt(rounds))
    return StoredPassword(version, secret.id, hashed.decode())


def test_a_sign_in_after_the_cost_rose_raises_the_cost_of_the_hash(
    harness: Harness, person: Person, dearer: BcryptHasher
) -> None:
    assert stored(harness).rounds == ROUNDS - 1
    assert person.login("a wrong password").status_code == 401
    assert stored(harness).rounds == ROUNDS - 1
    assert person.login().status_code == 200
    assert stored(harness).rounds == ROUNDS
    assert person.login().status_code == 200


def test_a_hash_under_an_earlier_secret_or_pre_hash_matches_and_is_made_anew(
    harness: Harness, person: Person, dearer: BcryptHasher
) -> None:
    for old in (made_with(EARLIER, ROUNDS), made_with(harness.resource(MasterSecret), ROUNDS, version=0)):
        store(harness, old)
        assert person.login("a wrong password").status_code == 401
        assert person.login().status_code == 200
        kept = stored(harness)
        assert (kept.version, kept.secret_id) == (PREHASH_VERSION, harness.resource(MasterSecret).id)


def test_a_hash_under_a_secret_that_nobody_knows_matches_nothing_at_the_usual_cost(
    harness: Harness, person: Person, costs: list[int]
) -> None:
    store(harness, made_with(MasterSecret("x" * 32), ROUNDS - 1))
    assert person.login().status_code == 401
    assert costs == [2 ** (ROUNDS - 1)]


@pytest.mark.parametrize("rounds", [ROUNDS, ROUNDS + 1])
def test_a_hash_that_costs_as_much_or_more_stays(harness: Harness, person: Person, dearer: BcryptHasher, rounds: int) -> None:
    before = made_with(harness.resource(MasterSecret), rounds)
    store(harness, before)
    assert person.login().status_code == 200
    assert stored(harness) == before


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The work of each check that bcrypt does, in rounds."""
    done: list[int] = []
    real = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        done.append(2 ** int(hashed.split(b"$")[2]))
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return done


@pytest.mark.parametrize("rounds", [4, 5, 6])
def test_a_cheap_hash_takes_as_long_to_check_as_a_dear_one_or_none(harness: Harness, costs: list[int], rounds: int) -> None:
    hasher = hasher_of(harness, 6)
    assert hasher.verify(PASSWORD, str(made_with(harness.resource(MasterSecret), rounds)))
    assert not hasher.verify("a wrong password", str(made_with(harness.resource(MasterSecret), rounds)))
    assert not hasher.verify(PASSWORD, None)
    assert sum(costs) == 3 * 2**6


def test_of_many_sign_ins_at_once_while_the_hash_is_made_anew_all_succeed(
    harness: Harness, person: Person, dearer: BcryptHasher
) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {each.status_code for each in pool.map(lambda _: person.login_at_once(), range(16))} == {200}
    assert stored(harness).rounds == ROUNDS


def test_who_signs_in_while_the_pool_is_full_is_let_in_and_the_hash_stays(
    harness: Harness, person: Person, dearer: BcryptHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_password: str) -> str:
        raise Busy("Too many people sign in at this moment.")

    monkeypatch.setattr(harness.resource(PasswordHasher), "hash", busy)  # type: ignore[type-abstract]
    assert person.login().status_code == 200
    assert stored(harness).rounds == ROUNDS - 1


def test_a_password_changed_while_the_old_one_is_hashed_anew_is_not_undone(
    harness: Harness, person: Person, dearer: BcryptHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = made_with(harness.resource(MasterSecret), ROUNDS)
    hasher = harness.resource(PasswordHasher)  # type: ignore[type-abstract]
    real = hasher.hash

    def slow(password: str) -> str:
        store(harness, changed)
        return real(password)

    monkeypatch.setattr(hasher, "hash", slow)
    assert person.login().status_code == 200
    assert stored(harness) == changed


def test_the_password_is_hashed_anew_outside_of_any_transaction(
    harness: Harness, person: Person, dearer: BcryptHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = harness.resource(PasswordHasher)  # type: ignore[type-abstract]
    real, idle = (
        hasher.hash,
        text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"),
    )
    busy: list[int] = []

    def watching(password: str) -> str:
        with harness.transaction() as tx:
            busy.append(tx.scalar(idle))
        return real(password)

    monkeypatch.setattr(hasher, "hash", watching)
    assert person.login().status_code == 200
    assert busy == [0]
