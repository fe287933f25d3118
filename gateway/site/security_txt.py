"""`/.well-known/security.txt`: where to report a vulnerability (RFC 9116)."""

from datetime import date, timedelta

from gateway.site.operator import Operator

VALID_DAYS = 180
"""From the day on which it is read; RFC 9116 section 2.5.5 recommends less than a year."""
PATH = "/.well-known/security.txt"


def security_txt(operator: Operator, origin: str, today: date) -> str | None:
    """The file as of one day; None when the operator named no contact, since a file without one is none (section 2.5.3)."""
    if operator.security_contact is None:
        return None
    lines = [
        f"Contact: {operator.security_contact}",
        f"Expires: {(today + timedelta(days=VALID_DAYS)).isoformat()}T00:00:00Z",
        "Preferred-Languages: en, fr",
    ]
    if origin.startswith("https://"):  # a web address in this file must be (section 2.5.2)
        lines.append(f"Canonical: {origin}{PATH}")
    if operator.security_policy is not None:
        lines.append(f"Policy: {operator.security_policy}")
    return "".join(f"{line}\n" for line in lines)
