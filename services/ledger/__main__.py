"""`python -m services.ledger web | worker | migrate | manifest | openapi | events`."""

from libs.common.service.commands import main
from services.ledger.app import service

main(service)
