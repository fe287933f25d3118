"""`python -m services.ledger web | worker | migrate | manifest | openapi | events`."""

from services.ledger.app import service

service.main()
