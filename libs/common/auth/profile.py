"""What an access token of ours is like. Apart from its verification, so that who only counts with it loads no cryptography."""

from typing import Final

ALGORITHM: Final = "ES256"
TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 — RFC 9068 section 2.1
LIFETIME_SECONDS: Final = 15 * 60
LEEWAY_SECONDS: Final = 5
TOKEN_LENGTH_MAX: Final = 8_192
