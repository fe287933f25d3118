"""`python -m services.ledger web | worker | migrate | manifest | openapi | events | archive | replay`."""

from libs.common.service.commands import main
from services.ledger.app import service

main(service)
