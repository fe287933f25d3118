"""The ledger on a database of its own."""

from libs.common.testing import service_harness
from services.ledger.app import service
from services.ledger.tests.samples import ORIGIN, SIGNER

harness = service_harness(service, environ={"LOG_ORIGIN": ORIGIN, "LOG_SIGNING_KEY": SIGNER.private_key})
