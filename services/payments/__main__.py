"""`python -m services.payments web | worker | migrate | manifest | openapi | events`."""

from services.payments.app import service

service.main()
