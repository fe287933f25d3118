"""The composition root of production: the only place that knows concretes."""

from libs.common.companions import Companion, Companions
from libs.common.db import Database
from libs.common.service import Resources, Service
from services.tasks import events, jobs, measures, routes, subscriptions
from services.tasks.adapters.anthropic import AnthropicReviewer
from services.tasks.adapters.reviewer import MockReviewer
from services.tasks.domain.review import Reviewer
from services.tasks.domain.rules import Rules
from services.tasks.models import metadata
from services.tasks.settings import Settings


def build(settings: Settings, _database: Database) -> Resources:
    """What routes and jobs ask for by type."""
    key = settings.anthropic_api_key
    if key is None:
        return {Rules: settings.rules, Reviewer: MockReviewer()}
    companion = Companion("advisory", "submissions go to a person without a score")
    reviewer = AnthropicReviewer(key.get_secret_value(), settings.anthropic_model, settings.anthropic_endpoint, companion)
    return {Rules: settings.rules, Reviewer: reviewer, Companions: Companions({"advisory": companion})}


service = Service(
    "tasks",
    settings=Settings,
    metadata=metadata,
    routes=[routes],
    subscriptions=[subscriptions],
    jobs=[jobs],
    measures=[measures],
    events=[events],
    resources=build,
)
