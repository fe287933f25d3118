"""What operators watch: backlog, throughput, order and failures of the bus."""

from prometheus_client import Counter, Gauge

OUTBOX_DEPTH = Gauge("lumiere_outbox_depth", "Events committed and not yet published", ["service"])
OUTBOX_AGE = Gauge("lumiere_outbox_oldest_seconds", "Age of the oldest event not yet published", ["service"])
PARKED = Gauge("lumiere_parked_events", "Events that wait for an earlier one of their aggregate", ["service", "subscription"])
PARKED_AGE = Gauge("lumiere_parked_oldest_seconds", "Age of the oldest parked event", ["service", "subscription"])
PUBLISHED = Counter("lumiere_events_published", "Events confirmed by the broker", ["service"])
PUBLISH_FAILURES = Counter("lumiere_relay_failures", "Batches given back to the outbox", ["service", "reason"])
UNROUTABLE = Gauge("lumiere_unroutable_events", "Events that no queue wanted and that are kept", ["service"])
CONSUMED = Counter("lumiere_events_consumed", "Deliveries by outcome", ["subscription", "outcome"])
RETRIED = Counter("lumiere_events_retried", "Deliveries sent to the retry ladder", ["subscription"])
DEAD_LETTERED = Counter("lumiere_events_dead_lettered", "Deliveries sent to the dead-letter queue", ["subscription", "error"])
BROADCAST = Counter("lumiere_broadcasts_received", "Broadcast deliveries by outcome", ["service", "outcome"])
JOB_RUNS = Counter("lumiere_job_runs", "Job runs by outcome", ["service", "job", "outcome"])
JOB_ROWS = Counter("lumiere_job_rows", "Rows that jobs dealt with", ["service", "job"])
