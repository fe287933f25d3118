"""What operators watch: backlog, throughput, order and failures of the bus."""

from prometheus_client import Counter, Gauge, Histogram

OUTBOX_DEPTH = Gauge("lumiere_outbox_depth", "Events committed and not yet published", ["service"])
OUTBOX_AGE = Gauge("lumiere_outbox_oldest_seconds", "Age of the oldest event not yet published", ["service"])
PARKED = Gauge("lumiere_parked_events", "Events that wait for an earlier one of their aggregate", ["service", "subscription"])
PARKED_AGE = Gauge("lumiere_parked_oldest_seconds", "Age of the oldest parked event", ["service", "subscription"])
PUBLISHED = Counter("lumiere_events_published", "Events confirmed by the broker", ["service"])
PUBLISH_FAILURES = Counter("lumiere_relay_failures", "Batches given back to the outbox", ["service", "reason"])
RELAY_ACTIVE = Gauge("lumiere_relay_active", "Whether this process relays, connected to the broker", ["service"])
UNROUTABLE = Gauge("lumiere_unroutable_events", "Events that no queue wanted and that are kept", ["service"])
CONSUMED = Counter("lumiere_events_consumed", "Deliveries by outcome", ["subscription", "outcome"])
RETRIED = Counter("lumiere_events_retried", "Deliveries sent to the retry ladder", ["subscription"])
DEAD_LETTERED = Counter("lumiere_events_dead_lettered", "Deliveries sent to the dead-letter queue", ["subscription", "error"])
BROADCAST = Counter("lumiere_broadcasts_received", "Broadcast deliveries by outcome", ["service", "outcome"])
QUEUE_DEPTH = Gauge("lumiere_queue_depth", "Deliveries that wait in the queue of a subscription", ["subscription"])
QUEUE_CONSUMERS = Gauge("lumiere_queue_consumers", "Workers that take from the queue of a subscription", ["subscription"])
RETRYING = Gauge("lumiere_events_waiting_for_retry", "Deliveries on the retry ladder", ["subscription"])
DEAD = Gauge("lumiere_dead_letters", "Deliveries in the dead-letter queue", ["subscription"])
DELIVERY = Histogram(
    "lumiere_event_delivery_seconds",
    "From the commit of an event to the commit of its effect",
    ["subscription"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
JOB_RUNS = Counter("lumiere_job_runs", "Job runs by outcome", ["service", "job", "outcome"])
JOB_ROWS = Counter("lumiere_job_rows", "Rows that jobs dealt with", ["service", "job"])
JOB_SECONDS = Histogram("lumiere_job_seconds", "Duration of job runs", ["service", "job"], buckets=(0.01, 0.1, 1, 10, 60))
JOB_SUCCESS = Gauge(
    "lumiere_job_last_success_timestamp_seconds", "When a job last succeeded here, or its process started", ["service", "job"]
)
JOB_INTERVAL = Gauge("lumiere_job_interval_seconds", "How often a job is due", ["service", "job"])
