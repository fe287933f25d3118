"""`python -m services.ledger web | worker | migrate | …` and for operators `standing | restored | resume`."""

from libs.common.service.commands import main
from services.ledger.app import service

main(service)
