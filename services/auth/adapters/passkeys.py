"""Passkeys by the `webauthn` library: this platform is the relying party of its own origin (Web Authentication, Level 3)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_authenticator_data,
    parse_client_data_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from services.auth.domain.factors import CHALLENGE_LIFE
from services.auth.domain.passkeys import (
    CREDENTIAL_ID_MAXIMUM,
    CounterWentBack,
    KnownPasskey,
    NewPasskey,
    PasskeyRefused,
    Person,
)

NAME = "Lumière"
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
"""What the platforms' own authenticators sign with, the best first."""
_TIMEOUT_MILLISECONDS = int(CHALLENGE_LIFE.total_seconds() * 1000)


class WebRelyingParty:
    """The relying party whose id is the host of its origin."""

    def __init__(self, origin: str) -> None:
        """Take the public base URL of the platform, as browsers know it."""
        self._origin = origin
        self._id = urlsplit(origin).hostname or ""

    def registration_options(self, person: Person, challenge: bytes, known: Sequence[bytes]) -> dict[str, Any]:
        """Return what `navigator.credentials.create` is called with: a discoverable credential that verifies its user."""
        options = generate_registration_options(
            rp_id=self._id,
            rp_name=NAME,
            user_id=person.id.bytes,
            user_name=person.address,
            user_display_name=person.display_name,
            challenge=challenge,
            timeout=_TIMEOUT_MILLISECONDS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json_dict(options)

    def authentication_options(self, challenge: bytes) -> dict[str, Any]:
        """Return what `navigator.credentials.get` is called with: whichever passkey of this platform the person chooses."""
        options = generate_authentication_options(
            rp_id=self._id,
            challenge=challenge,
            timeout=_TIMEOUT_MILLISECONDS,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json_dict(options)

    def challenge_of(self, credential: Mapping[str, Any]) -> bytes:
        """Return the challenge in the client data. Raises PasskeyRefused."""
        with _judging():
            return parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"])).challenge

    def credential_id(self, credential: Mapping[str, Any]) -> bytes:
        """Return which passkey answered. Raises PasskeyRefused."""
        with _judging():
            return parse_authentication_credential_json(dict(credential)).raw_id

    def user_handle(self, credential: Mapping[str, Any]) -> bytes | None:
        """Return whose passkey the authenticator says it is. Raises PasskeyRefused."""
        with _judging():
            return parse_authentication_credential_json(dict(credential)).response.user_handle or None

    def registered(self, credential: Mapping[str, Any], challenge: bytes) -> NewPasskey:
        """Return the passkey that an answer registers (section 7.1). Raises PasskeyRefused."""
        with _judging():
            verified = verify_registration_response(
                credential=dict(credential),
                expected_challenge=challenge,
                expected_rp_id=self._id,
                expected_origin=self._origin,
                require_user_verification=True,
                supported_pub_key_algs=ALGORITHMS,
            )
        if len(verified.credential_id) > CREDENTIAL_ID_MAXIMUM:
            raise PasskeyRefused(f"A credential's id has at most {CREDENTIAL_ID_MAXIMUM} bytes.")
        return NewPasskey(
            verified.credential_id,
            verified.credential_public_key,
            verified.sign_count,
            verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        )

    def asserted(self, credential: Mapping[str, Any], challenge: bytes, known: KnownPasskey) -> int:
        """Return the counter of an answer that holds (section 7.2). Raises PasskeyRefused, CounterWentBack."""
        with _judging():
            parsed = parse_authentication_credential_json(dict(credential))
            # The library does not say apart what a counter's fault is and what a forgery: it judges all else, the counter
            # is judged here.
            count = parse_authenticator_data(parsed.response.authenticator_data).sign_count
            verify_authentication_response(
                credential=parsed,
                expected_challenge=challenge,
                expected_rp_id=self._id,
                expected_origin=self._origin,
                credential_public_key=known.public_key,
                credential_current_sign_count=min(known.sign_count, max(count - 1, 0)),
                require_user_verification=True,
            )
        if (count or known.sign_count) and count <= known.sign_count:
            raise CounterWentBack
        return count


@contextmanager
def _judging() -> Iterator[None]:
    """Whatever a parser stumbles over in a stranger's bytes is the stranger's fault."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 — the library and the parsers below it raise a dozen kinds
        raise PasskeyRefused(f"The authenticator's answer was not taken: {error}.") from None
