"""`python -m services.tasks web | worker | migrate | manifest | openapi | events`."""

from services.tasks.app import service

service.main()
