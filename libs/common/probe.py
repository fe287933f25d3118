"""Whether a process answers over mutual TLS, for a container's health check.

    python -m libs.common.probe PORT AUTHORITY CERTIFICATE

Standard library only and small: it is started again and again beside every process.
"""

import sys
from http.client import HTTPException, HTTPSConnection
from typing import Final

from libs.common import tls

HOST: Final = "localhost"
"""A name that every certificate of the platform bears."""
PATH: Final = "/health/ready"
SECONDS: Final = 4.0


def answers(port: int, authority: str, certificate: str) -> bool:
    """Whether the process says that it is ready, to whoever shows this certificate."""
    try:
        connection = HTTPSConnection(HOST, port, timeout=SECONDS, context=tls.calling(authority, certificate))
        connection.request("GET", PATH)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    raise SystemExit(0 if answers(int(sys.argv[1]), sys.argv[2], sys.argv[3]) else 1)
