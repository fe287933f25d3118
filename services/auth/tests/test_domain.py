"""The rules, without a database."""

import json
import string
from datetime import UTC, datetime, timedelta

import bcrypt
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from libs.common.auth.policy import Role
from services.auth.domain import accounts, lockout, passwords, secrets, sessions, tokens

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
SECRET = secrets.MasterSecret("correct horse battery staple, twice over")
OTHER_SECRET = secrets.MasterSecret("another secret of sufficient length, too")

instants = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  made aware by timezones
pauses = st.timedeltas(timedelta(0), timedelta(hours=2))
names = st.text(string.ascii_letters + "éèàç", min_size=accounts.DISPLAY_NAME_MINIMUM, max_size=accounts.DISPLAY_NAME_MAXIMUM)


class TestAddresses:
    @given(st.sampled_from(["Ada@Example.ORG", "ada@example.org", "ADA@EXAMPLE.org"]))
    def test_letter_case_does_not_make_another_address(self, text: str) -> None:
        assert accounts.normal_address(text) == "ada@example.org"

    @given(st.emails())
    def test_normalising_twice_changes_nothing(self, text: str) -> None:
        try:
            once = accounts.normal_address(text)
        except ValueError:
            return  # not every address that RFC 5322 allows is one that mail servers take
        assert accounts.normal_address(once) == once == once.lower()

    @pytest.mark.parametrize(
        "text", ["", "ada", "ada@", "@lovelace.org", "ada@example", "a b@example.org", "ada@example.org\n", "ada@@example.org"]
    )
    def test_what_is_no_address_is_refused_without_repeating_it(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not an e-mail address") as refusal:
            accounts.normal_address(text)
        assert not text or text not in str(refusal.value)

    def test_an_address_may_have_254_octets_and_no_more(self) -> None:
        def address(length: int) -> str:
            return "a" * 64 + "@" + ".".join(["d" * 61, "d" * 61, "d" * (length - 193), "org"])

        assert len(accounts.normal_address(address(accounts.ADDRESS_MAXIMUM))) == accounts.ADDRESS_MAXIMUM
        with pytest.raises(ValueError, match="is not an e-mail address"):
            accounts.normal_address(address(accounts.ADDRESS_MAXIMUM + 1))


class TestProfile:
    @given(names)
    def test_a_plain_name_is_kept_as_it_is(self, text: str) -> None:
        assert accounts.display_name(text) == text

    @pytest.mark.parametrize("length", [accounts.DISPLAY_NAME_MINIMUM, accounts.DISPLAY_NAME_MAXIMUM])
    def test_a_name_at_a_limit_is_taken(self, length: int) -> None:
        assert accounts.display_name("é" * length)

    @pytest.mark.parametrize(
        "text", ["é", "é" * (accounts.DISPLAY_NAME_MAXIMUM + 1), " Ada", "Ada ", "A\nda", "A\u202eda", "A\x00da"]
    )
    def test_a_name_outside_the_limits_or_with_control_characters_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="must"):
            accounts.display_name(text)

    def test_a_bio_may_have_500_characters_and_line_breaks(self) -> None:
        assert accounts.bio("x\n" * (accounts.BIO_MAXIMUM // 2))
        with pytest.raises(ValueError, match="at most"):
            accounts.bio("x" * (accounts.BIO_MAXIMUM + 1))
        with pytest.raises(ValueError, match="control"):
            accounts.bio("\x1b[31m")

    @pytest.mark.parametrize("role", list(Role))
    def test_a_newcomer_may_choose_any_role_but_administrator(self, role: Role) -> None:
        if role is Role.ADMIN:
            with pytest.raises(ValueError, match="other than ADMIN"):
                accounts.role_at_registration(role)
        else:
            assert accounts.role_at_registration(role) is role


class TestStanding:
    @given(
        st.sampled_from([each for each in Role if each is not Role.ADMIN]), st.sampled_from(accounts.Status), st.integers(0, 9)
    )
    def test_one_administrator_never_makes_another(self, role: Role, status: accounts.Status, others: int) -> None:
        assert isinstance(accounts.refuse_change(role, Role.ADMIN, status, others), accounts.AdministratorNeedsTwoPeople)

    @given(st.sampled_from(Role), st.sampled_from(accounts.Status), st.integers(0, 9))
    def test_an_active_administrator_always_remains(self, new_role: Role, status: accounts.Status, others: int) -> None:
        refusal = accounts.refuse_change(Role.ADMIN, new_role, status, others)
        remains = others + (new_role is Role.ADMIN and status is accounts.Status.ACTIVE)
        assert (refusal is None) == (remains >= 1)

    def test_the_operator_makes_two_administrators_and_no_third(self) -> None:
        assert accounts.refuse_bootstrap(0, address_known=False) is None
        assert accounts.refuse_bootstrap(1, address_known=False) is None
        assert isinstance(accounts.refuse_bootstrap(2, address_known=False), accounts.EnoughAdministrators)
        assert isinstance(accounts.refuse_bootstrap(1, address_known=True), accounts.AddressTaken)


class TestPasswords:
    @pytest.mark.parametrize("length", [passwords.PASSWORD_MINIMUM, passwords.PASSWORD_MAXIMUM])
    def test_a_password_at_a_limit_is_taken(self, length: int) -> None:
        assert passwords.normal_password("ß" * length)

    @pytest.mark.parametrize("length", [0, passwords.PASSWORD_MINIMUM - 1, passwords.PASSWORD_MAXIMUM + 1])
    def test_a_password_beyond_a_limit_is_refused(self, length: int) -> None:
        with pytest.raises(ValueError, match="8 to 128"):
            passwords.normal_password("x" * length)

    def test_the_same_characters_typed_differently_are_the_same_password(self) -> None:
        assert passwords.prehash("e\u0301te 2026", SECRET) == passwords.prehash("\u00e9te 2026", SECRET)

    @given(st.text(max_size=200), st.text(max_size=200))
    def test_bcrypt_sees_every_character_and_no_zero_byte(self, first: str, second: str) -> None:
        given_first, given_second = passwords.prehash(first, SECRET), passwords.prehash(second, SECRET)
        assert len(given_first) <= 72
        assert b"\x00" not in given_first
        assert (given_first == given_second) == (passwords.normalised(first) == passwords.normalised(second))

    def test_without_the_secret_a_hash_cannot_be_tried(self) -> None:
        assert passwords.prehash("a good password", SECRET) != passwords.prehash("a good password", OTHER_SECRET)

    def test_the_stored_form_keeps_all_its_parts(self) -> None:
        stored = passwords.StoredPassword(1, SECRET.id, "$2b$12$" + "." * 53)
        assert passwords.StoredPassword.parse(str(stored)) == stored

    def test_the_stand_in_for_unknown_accounts_is_checked_like_a_real_hash_and_never_matches(self) -> None:
        assert not bcrypt.checkpw(passwords.prehash("a good password", SECRET), passwords.unmatchable(4).encode())
        assert passwords.unmatchable(12).startswith("$2b$12$")
        assert len(passwords.unmatchable(12)) == len(bcrypt.hashpw(b"x", bcrypt.gensalt(4)))


class TestLockout:
    @given(instants, st.lists(pauses, max_size=20))
    def test_an_account_is_locked_exactly_when_five_failures_follow_each_other_closely(
        self, start: datetime, waits: list[timedelta]
    ) -> None:
        failures, now, streak = lockout.Failures(), start, 0
        for wait in waits:
            now += wait
            if isinstance(failures.refuse(now), lockout.AccountLocked):
                continue
            streak = 1 if wait >= lockout.FAILURES_FORGOTTEN_AFTER or failures.locked_until else streak + 1
            if failures.last_at and now - failures.last_at >= lockout.FAILURES_FORGOTTEN_AFTER:
                streak = 1
            failures = failures.one_more(now)
            assert failures.count == streak
            assert isinstance(failures.refuse(now), lockout.AccountLocked) == (streak >= lockout.FAILURES_ALLOWED)

    def test_four_failures_leave_the_account_open_and_the_fifth_locks_it(self) -> None:
        failures = lockout.Failures()
        for _ in range(lockout.FAILURES_ALLOWED - 1):
            failures = failures.one_more(NOW)
        assert isinstance(failures.refuse(NOW), lockout.AttemptTooSoon)
        assert isinstance(failures.one_more(NOW).refuse(NOW), lockout.AccountLocked)

    def test_a_lock_lasts_fifteen_minutes_to_the_microsecond(self) -> None:
        failures = lockout.Failures(lockout.FAILURES_ALLOWED, NOW, NOW + lockout.LOCK_DURATION)
        last = NOW + lockout.LOCK_DURATION - timedelta(microseconds=1)
        refusal = failures.refuse(last)
        assert refusal is not None
        assert refusal.retry_after == 1
        assert failures.refuse(NOW + lockout.LOCK_DURATION) is None

    def test_the_wait_is_told_in_whole_seconds_rounded_up(self) -> None:
        refusal = lockout.Failures(5, NOW, NOW + timedelta(seconds=899, milliseconds=1)).refuse(NOW)
        assert refusal is not None
        assert refusal.retry_after == 900

    @pytest.mark.parametrize(
        ("failures", "milliseconds"),
        [(0, 0), (1, 500), (2, 750), (4, 1_250), (18, 4_750), (19, 5_000), (20, 5_000), (1_000, 5_000)],
    )
    def test_the_delay_grows_by_a_quarter_of_a_second_a_failure_up_to_five_seconds(
        self, failures: int, milliseconds: int
    ) -> None:
        assert lockout.delay(failures) == timedelta(milliseconds=milliseconds)

    @pytest.mark.parametrize("count", range(1, lockout.FAILURES_ALLOWED))
    def test_an_attempt_is_refused_unread_until_the_delay_is_over_to_the_microsecond(self, count: int) -> None:
        failures, over = lockout.Failures(count, NOW), NOW + lockout.delay(count)
        refusal = failures.refuse(over - timedelta(microseconds=1))
        assert isinstance(refusal, lockout.AttemptTooSoon)
        assert refusal.retry_after == 1
        assert failures.refuse(over) is None

    def test_after_a_lock_counting_starts_anew(self) -> None:
        failures = lockout.Failures(5, NOW, NOW + lockout.LOCK_DURATION).one_more(NOW + lockout.LOCK_DURATION)
        assert failures.count == 1
        assert failures.locked_until is None


class TestRefreshTokens:
    def spent(self, used: timedelta | None, *, alive: bool = True, life: timedelta = timedelta(days=1)) -> sessions.SpentToken:
        return sessions.SpentToken(None if used is None else NOW - used, NOW + life, alive)

    def test_within_ten_seconds_a_spent_token_is_a_repetition_and_after_them_a_reuse(self) -> None:
        assert sessions.judge(self.spent(timedelta(0)), NOW) is sessions.Judgement.REPEATED
        assert sessions.judge(self.spent(sessions.REPEAT_WINDOW), NOW) is sessions.Judgement.REPEATED
        assert sessions.judge(self.spent(sessions.REPEAT_WINDOW + timedelta(microseconds=1)), NOW) is sessions.Judgement.REUSED

    def test_a_token_spent_by_a_clock_that_runs_ahead_is_a_repetition(self) -> None:
        assert sessions.judge(self.spent(timedelta(seconds=-2)), NOW) is sessions.Judgement.REPEATED

    @pytest.mark.parametrize("used", [None, timedelta(0), timedelta(hours=1)])
    def test_unknown_expired_and_orphaned_tokens_prove_nothing(self, used: timedelta | None) -> None:
        assert sessions.judge(None, NOW) is sessions.Judgement.REFUSED
        assert sessions.judge(self.spent(used, alive=False), NOW) is sessions.Judgement.REFUSED
        assert sessions.judge(self.spent(used, life=timedelta(0)), NOW) is sessions.Judgement.REFUSED

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_only_the_presented_token_opens_its_successor(self, token: str, other: str) -> None:
        sealed = sessions.seal_successor(token, "the successor")
        assert b"the successor" not in sealed
        assert sessions.unseal_successor(token, sealed) == "the successor"
        if other != token:
            with pytest.raises(InvalidTag):
                sessions.unseal_successor(other, sealed)

    @given(instants)
    def test_a_revocation_outlives_every_token_by_whole_seconds(self, revoked_at: datetime) -> None:
        expiry = sessions.revocation_expiry(revoked_at)
        assert expiry.microsecond == 0
        assert (
            tokens.ACCESS_TOKEN_LIFE
            < expiry - revoked_at
            <= tokens.ACCESS_TOKEN_LIFE + sessions.REVOCATION_ALLOWANCE + timedelta(seconds=1)
        )


class TestDeviceLabels:
    @pytest.mark.parametrize(
        ("user_agent", "label"),
        [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
                "Chrome on Windows",
            ),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.9.1", "curl"),
            ("", "Unknown device"),
            (None, "Unknown device"),
        ],
    )
    def test_a_session_is_recognised_by_browser_and_system(self, user_agent: str | None, label: str) -> None:
        assert sessions.device_label(user_agent) == label

    @given(st.text(max_size=300))
    def test_a_label_is_short_and_printable_whatever_is_sent(self, user_agent: str) -> None:
        label = sessions.device_label(user_agent)
        assert 0 < len(label) <= sessions.DEVICE_LABEL_MAXIMUM
        assert label.isprintable()


class TestAccessTokens:
    @given(instants, st.none() | instants)
    def test_a_token_is_never_issued_before_the_instant_from_which_tokens_count(
        self, now: datetime, not_before: datetime | None
    ) -> None:
        whole = None if not_before is None else not_before.replace(microsecond=0)
        issued = tokens.issue_time(now, whole)
        assert issued.microsecond == 0
        assert whole is None or issued >= whole
        assert issued >= now.replace(microsecond=0)

    def test_no_key_is_named_like_an_option_of_a_command(self) -> None:
        assert {str(tokens.new_signing_key().kid)[0].isalnum() for _ in range(200)} == {True}

    def test_a_signing_key_is_sealed_under_the_secret_and_bound_to_its_name(self) -> None:
        key = tokens.new_signing_key()
        sealed = tokens.seal_signing_key(key, SECRET)
        assert tokens.unseal_signing_key(str(key.kid), sealed, SECRET).as_dict(private=True) == key.as_dict(private=True)
        with pytest.raises(InvalidTag):
            tokens.unseal_signing_key("another key", sealed, SECRET)
        with pytest.raises(InvalidTag):
            tokens.unseal_signing_key(str(key.kid), sealed, OTHER_SECRET)

    def test_the_public_half_holds_nothing_private(self) -> None:
        public = tokens.new_signing_key().as_dict(private=False)
        assert set(json.loads(json.dumps(public))) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


class TestSecrets:
    def test_each_purpose_has_a_key_of_its_own(self) -> None:
        assert len({SECRET.derive(purpose) for purpose in ("signing keys", "pseudonym", "password pre-hash v1")}) == 3

    def test_an_identifier_names_the_secret_and_tells_nothing_of_it(self) -> None:
        assert SECRET.id != OTHER_SECRET.id
        assert SECRET.id not in SECRET.derive("pseudonym").hex()

    @given(st.binary(max_size=200), st.binary(max_size=20))
    def test_what_was_sealed_opens_in_its_context_only(self, value: bytes, context: bytes) -> None:
        key = SECRET.derive("a test")
        sealed = secrets.seal(key, value, context)
        assert secrets.unseal(key, sealed, context) == value
        with pytest.raises(InvalidTag):
            secrets.unseal(key, sealed, context + b"x")
        with pytest.raises(InvalidTag):
            secrets.unseal(key, sealed[:-1] + bytes([sealed[-1] ^ 1]), context)
