"""Which key of Stripe may be used where, and what is marked where there is none."""

import csv
import io

import pytest

from libs.common.auth.policy import Role
from libs.common.config import ConfigurationError, load
from libs.common.events.inbox import apply
from libs.common.ids import new_id
from libs.common.testing import Harness
from services.payments.domain import Payer
from services.payments.settings import Settings
from services.payments.tests.factories import task_validated

PRODUCTION = {"LUMIERE_ENV": "production", "LUMIERE_ORIGIN": "https://lumiere.film"}
# Put together here, so that no scanner takes them for keys.
TEST_KEY, LIVE_KEY, RESTRICTED_KEY, PUBLIC_KEY = (
    f"{kind}_{mode}_Fake0123456789" for kind, mode in (("sk", "test"), ("sk", "live"), ("rk", "live"), ("pk", "test"))
)


def settings(harness: Harness, **given: str) -> Settings:
    return load(Settings, {**harness.environ, **given})


@pytest.mark.parametrize(
    ("given", "payer"),
    [
        ({}, Payer.MOCK),
        ({"STRIPE_SECRET_KEY": TEST_KEY}, Payer.STRIPE),
        ({**PRODUCTION, "STRIPE_SECRET_KEY": LIVE_KEY}, Payer.STRIPE),
        ({**PRODUCTION, "STRIPE_SECRET_KEY": RESTRICTED_KEY}, Payer.STRIPE),
        ({**PRODUCTION, "MOCK_PROVIDERS": "payments"}, Payer.MOCK),
        ({**PRODUCTION, "MOCK_PROVIDERS": "mail,payments", "STRIPE_SECRET_KEY": TEST_KEY}, Payer.STRIPE),
    ],
)
def test_who_pays(harness: Harness, given: dict[str, str], payer: Payer) -> None:
    assert settings(harness, **given).payer is payer


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"STRIPE_SECRET_KEY": LIVE_KEY}, "moves real money; outside production"),
        ({"STRIPE_SECRET_KEY": RESTRICTED_KEY, "LUMIERE_ENV": "test"}, "moves real money; outside production"),
        ({"STRIPE_SECRET_KEY": PUBLIC_KEY}, "must be a secret or restricted key"),
        ({"STRIPE_SECRET_KEY": "sk_test_"}, "must be a secret or restricted key"),  # pragma: allowlist secret
        (PRODUCTION, "must be a live key in production"),
        ({**PRODUCTION, "STRIPE_SECRET_KEY": TEST_KEY}, "must be a live key in production"),
        ({**PRODUCTION, "MOCK_PROVIDERS": "mail"}, "must be a live key in production"),
    ],
)
def test_a_key_that_does_not_belong_there_is_refused_and_not_shown(harness: Harness, given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match="STRIPE_SECRET_KEY") as refused:
        settings(harness, **given)
    assert words in str(refused.value)
    assert given.get("STRIPE_SECRET_KEY", "Fake0123456789") not in str(refused.value)


@pytest.mark.parametrize("key", [None, TEST_KEY])
def test_a_payment_says_in_data_and_answers_who_is_to_move_the_money(harness: Harness, key: str | None) -> None:
    contributor = harness.subject(Role.CONTRIBUTOR)
    given = settings(harness, **({"STRIPE_SECRET_KEY": key} if key else {}))
    resources = {**harness.resources, **harness.service.resources(given, harness.database)}
    (subscription,) = [each for each in harness.service.declared_subscriptions.queues if each.source == "tasks.task"]
    apply(harness.database, subscription, [harness.envelope(task_validated(contributor_id=contributor.id))], resources)

    expected = "STRIPE" if key else "MOCK"
    (shown,) = harness.client(contributor).get("/api/v1/payments").get_json()["items"]
    (exported,) = csv.DictReader(io.StringIO(harness.client(Role.ADMIN).get("/api/v1/admin/payments.csv").text))
    assert (shown["payer"], exported["payer"], shown["status"]) == (expected, expected, "PENDING")
    assert harness.client(contributor).get(f"/api/v1/payments/{shown['id']}").get_json()["payer"] == expected
    assert harness.client(contributor).get(f"/api/v1/payments/{new_id()}").status_code == 404
