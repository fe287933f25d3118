"""Passwords that somebody else could guess are refused wherever one is chosen, and the reason is told."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest

from libs.common.config import ConfigurationError, load
from libs.common.testing import Harness
from services.auth.adapters.command_line import USAGE, admin_create
from services.auth.adapters.known_passwords import LISTED_FROM, ListedPasswords
from services.auth.domain.password_rules import MINIMUM_SETTING_MAXIMUM, PasswordRefused, PasswordRules
from services.auth.domain.passwords import PASSWORD_MINIMUM
from services.auth.settings import Settings
from services.auth.tests.conftest import PASSWORD, Person
from services.auth.tests.test_settings import COMPLETE

OWN = ("ada.byron@example.org", "Ada Lovelace")
TRIED_FIRST = "is one of those that are tried first"
OWN_NAME = "must not be your name"


class Nothing:
    """A list with nothing on it."""

    def holds(self, _password: str) -> bool:
        return False


@pytest.mark.parametrize("minimum", [PASSWORD_MINIMUM, 15, MINIMUM_SETTING_MAXIMUM])
def test_a_password_has_as_many_characters_as_the_operator_asks_for(minimum: int) -> None:
    rules = PasswordRules(minimum, Nothing())
    assert rules.fault("é" * (minimum - 1)) == f"must have at least {minimum} characters"
    assert rules.fault("é" * minimum) is None
    assert rules.fault("é" * (minimum + 1)) is None


@pytest.mark.parametrize("minimum", [PASSWORD_MINIMUM - 1, MINIMUM_SETTING_MAXIMUM + 1])
def test_the_operator_may_ask_for_8_to_64_characters(minimum: int) -> None:
    for taken in (PASSWORD_MINIMUM, MINIMUM_SETTING_MAXIMUM):
        assert load(Settings, {**COMPLETE, "PASSWORD_MINIMUM": str(taken)}).password_minimum == taken
    with pytest.raises(ConfigurationError, match="PASSWORD_MINIMUM"):
        load(Settings, {**COMPLETE, "PASSWORD_MINIMUM": str(minimum)})


@pytest.mark.parametrize(
    "password",
    [
        "ada.byron@example.org",
        "ADA.BYRON@EXAMPLE.ORG",
        "adabyron",
        "Ada-Byron",
        "1815adabyron1852",
        "AdaLovelace",
        "ada lovelace",
        "Ada_Lovelace_1815!",
        "Lumiere1",
        "lumière!!",
        "LUMIE\u0300RE 2026",
        "lumiere.film",
    ],
)
def test_what_somebody_is_called_is_no_password_of_theirs(password: str) -> None:
    assert str(PasswordRules(8, Nothing()).fault(password, OWN)).startswith(OWN_NAME)


@pytest.mark.parametrize("password", ["ada met byron", "lovelace and lumiere", "18151852", "Ada Lovelace's engine"])
def test_a_name_within_more_is_no_name(password: str) -> None:
    assert PasswordRules(8, Nothing()).fault(password, OWN) is None


def test_a_name_without_letters_refuses_nothing() -> None:
    assert PasswordRules(8, Nothing()).fault("--------", ("!!", "@")) is None


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PASSWORD",
        "p@ssw0rd",
        "12345678",
        "iloveyou",
        "azerty12",
        "abcdefgh",
        "aaaaaaaa",
        "qwertyui",
        "nicolas75",
        "password1234",
        "Password1234",
        "PASSWORD1234",
        "letmein123",
        "motdepasse123",
        "correcthorsebatterystaple",
    ],
)
def test_common_and_breached_passwords_are_known_in_any_case(password: str) -> None:
    assert ListedPasswords().holds(password)


@pytest.mark.parametrize("password", [PASSWORD, "k7#mQz2p", "zebra-93", "a better password", "écran total à midi"])
def test_other_passwords_are_not_known(password: str) -> None:
    assert not ListedPasswords().holds(password)


@pytest.mark.parametrize("length", [LISTED_FROM - 1, LISTED_FROM, LISTED_FROM + 1, 128])
def test_a_password_of_any_length_is_judged(length: int) -> None:
    assert not ListedPasswords().holds("Kx8#mQz2pW"[:length].ljust(length, "é7-"[length % 3]))


def test_the_same_characters_typed_differently_are_refused_alike(newcomer: Person) -> None:
    for name in ("Lumie\u0300re 75", "Lumi\u00e8re 75"):
        assert newcomer.register(password=name).status_code == 422


def _register(person: Person, password: str, _monkeypatch: pytest.MonkeyPatch) -> Any:
    return Person(person.harness, "grace@example.org").register(password=password, display_name="Grace Hopper")


def _change(person: Person, password: str, _monkeypatch: pytest.MonkeyPatch) -> Any:
    body = {"current_password": person.password, "new_password": password}
    return person.post("/auth/password/change", body, person.signed_in()["access_token"])


def _reset(person: Person, password: str, _monkeypatch: pytest.MonkeyPatch) -> Any:
    person.post("/auth/password/forgot", {"email": person.email})
    person.harness.run_job("mail_links")
    token = person.mails("RESET_PASSWORD")[-1]["token"]
    answer = person.post("/auth/password/reset", {"token": token, "password": password})
    better = {"token": token, "password": PASSWORD[::-1]}
    assert person.post("/auth/password/reset", better).status_code == 204
    return answer


@pytest.mark.parametrize("password", ["password1234", "lumiere2026"])
@pytest.mark.parametrize(("choose", "member"), [(_register, "password"), (_change, "new_password"), (_reset, "password")])
def test_a_password_that_could_be_guessed_is_refused_at_every_door_with_its_reason(
    person: Person, monkeypatch: pytest.MonkeyPatch, choose: Callable[..., Any], member: str, password: str
) -> None:
    answer = choose(person, password, monkeypatch)
    assert answer.status_code == 422
    assert answer.get_json()["type"].endswith("/password-refused")
    (fault,) = answer.get_json()["errors"]
    assert fault["pointer"] == f"/{member}"
    assert fault["detail"].startswith(TRIED_FIRST if password.endswith("1234") else OWN_NAME)
    assert password not in answer.get_data(as_text=True)


def test_a_person_is_not_given_their_own_name_when_they_change_or_reset(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for choose in (_change, _reset):
        assert choose(person, "AdaLovelace1852", monkeypatch).get_json()["errors"][0]["detail"].startswith(OWN_NAME)


@pytest.mark.parametrize("password", ["password1234", "first", "Administrator", "lumiere-2026"])
def test_the_operators_command_refuses_it_too(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], password: str
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(password + "\n"))
    assert admin_create(harness.assembled, ["first@example.org"]) == USAGE
    said = capsys.readouterr().err
    assert said.startswith("The password ")
    assert password not in said


def test_the_reason_stands_at_the_member_at_fault() -> None:
    with pytest.raises(PasswordRefused) as refused:
        PasswordRules(8, ListedPasswords()).require("password", "/new_password")
    assert refused.value.faults[0].pointer == "/new_password"
