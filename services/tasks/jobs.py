"""Due work: claims past their deadline, and submissions that wait for the advisory reviewer."""

from libs.common.db import Database, Transaction
from libs.common.jobs import every
from services.tasks.domain.review import Reviewer
from services.tasks.domain.rules import Rules
from services.tasks.use_cases import reviews, work


@every(minutes=1)
def release_expired_claims(tx: Transaction) -> int:
    """Give tasks past their deadline back to everyone."""
    return work.release_expired_claims(tx)


@every(seconds=5, wake=work.ADVISORY_CHANNEL)
def run_advisory_reviews(database: Database, reviewer: Reviewer, rules: Rules) -> int:
    """Score what was handed in; a submission wakes this at once."""
    return reviews.advise_on_submissions(database, reviewer, rules)
