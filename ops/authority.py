"""The installation's own authority, and the certificates that its containers show each other (X.509, RFC 5280).

Each file of a certificate holds the certificate and its key, for one program. The authority's key signs and is never mounted.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from libs.common import clock
from ops.vault import Vault

CERTIFICATE: Final = "TLS_AUTHORITY"
KEY: Final = "TLS_AUTHORITY_KEY"
AUTHORITY_DAYS: Final = 3_650
LEAF_DAYS: Final = 180
"""Twice as long as a credential may stand: whoever renews with every rotation is never surprised."""
RENEW_DAYS: Final = 30
"""A certificate that holds for less than this is made anew."""
CLOCKS_DIFFER: Final = timedelta(hours=1)
COMMON_NAME: Final = "Lumière, this installation's own authority"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate that somebody shows."""

    name: str
    hosts: tuple[str, ...]
    """DNS names that it answers to."""
    serves: bool = True
    calls: bool = False

    @property
    def file(self) -> str:
        """The name of its file among the secrets."""
        return f"TLS_{self.name.upper()}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Until when a certificate holds."""

    file: str
    until: datetime

    def days(self, now: datetime) -> int:
        """Whole days left; negative when it is over."""
        return (self.until - now).days


class Authority:
    """Makes what is missing in a vault, and what will soon be over."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def ensure(self, leaves: Iterable[Leaf], *, renew: bool = False) -> list[str]:
        """The authority and these certificates; `renew` makes all certificates anew, never the authority.

        Returns the files that were written.
        """
        written = self._ensure_root()
        for leaf in leaves:
            if renew or bool(written and written[0] == CERTIFICATE) or self._is_due(leaf):
                self._vault.write(leaf.file, self._issue(leaf))
                written.append(leaf.file)
        return written

    def standing(self) -> list[Standing]:
        """Every certificate in the vault, the first to end first."""
        return standing(self._vault.folder)

    def _ensure_root(self) -> list[str]:
        if self._vault.path(KEY).exists() and self._vault.path(CERTIFICATE).exists():
            return []
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
        certificate = (
            _draft(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._vault.write(KEY, _pem(key))
        self._vault.write(CERTIFICATE, certificate.public_bytes(Encoding.PEM).decode())
        return [CERTIFICATE, KEY]

    def _is_due(self, leaf: Leaf) -> bool:
        path = self._vault.path(leaf.file)
        if not path.exists():
            return True
        found = x509.load_pem_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        left = found.not_valid_after_utc - clock.now()
        return left < timedelta(days=RENEW_DAYS) or set(names) != set(leaf.hosts)

    def _issue(self, leaf: Leaf) -> str:
        signer = load_pem_private_key(self._vault.path(KEY).read_bytes(), None)
        root = x509.load_pem_x509_certificate(self._vault.path(CERTIFICATE).read_bytes())
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{KEY} must be the EC key that was made with {CERTIFICATE}")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.name)])
        purposes = [
            *([ExtendedKeyUsageOID.SERVER_AUTH] if leaf.serves else []),
            *([ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.calls else []),
        ]
        certificate = (
            _draft(name, root.subject, key.public_key(), LEAF_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in leaf.hosts]), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM).decode() + _pem(key)


def standing(folder: Path) -> list[Standing]:
    """Every certificate in a folder of secrets, the first to end first. Files that hold none are passed over."""
    found = []
    for path in sorted(folder.glob("TLS_*")) if os.access(folder, os.R_OK) else []:
        try:
            found.append(Standing(path.name, x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda each: each.until)


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
