"""The metrics of the service, each defined here and updated by the module that it describes.

No label has values that a client could choose: their number is bounded.
"""

from __future__ import annotations

from service.metrics.kinds import Counter, Gauge, Histogram

# Seconds.
OF_REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
OF_HASHES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
OF_WAITS = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 2.5, 5.0)
# Sessions, or service tokens.
OF_BATCHES = (1, 2, 4, 8, 16, 32)

WORKERS_STARTED = Counter(
    "ostiary_workers_started", "Workers that were started, those that replace others included."
)
REQUESTS = Counter(
    "ostiary_requests",
    "Requests. `route` is the template of the path, such as `/sessions/{session_id}`, or `none` if "
    "no route has the path and the method; `method` is `other` if HTTP does not define it; "
    "`status` is `none` if the client left before the response.",
    "method",
    "route",
    "status",
)
REQUEST_SECONDS = Histogram(
    "ostiary_request_duration_seconds",
    "Time from the arrival of a request's head to the end of its response.",
    "method",
    "route",
    bounds=OF_REQUESTS,
)
PROBLEMS = Counter("ostiary_problems", "Error responses, by the problem's code.", "code")
AUDIT_EVENTS = Counter(
    "ostiary_audit_events",
    "Events of the audit trail: log-ins by result, sign-ups, exceeded rate limits, and others.",
    "event",
)
SESSIONS_OPENED = Counter(
    "ostiary_sessions_opened", "Sessions opened, by the audit event.", "event"
)
SESSIONS_RENEWED = Counter("ostiary_sessions_renewed", "Idle sessions that a request renewed.")
SESSIONS_ENDED = Counter(
    "ostiary_sessions_ended",
    "Sessions ended, by the audit event, or `expired` when the cleanup deletes them; not those of "
    "deleted users.",
    "event",
)
LOOKUP_BATCH_SIZE = Histogram(
    "ostiary_session_lookup_batch_size",
    "Number of sessions looked up by one query.",
    bounds=OF_BATCHES,
)
LOOKUP_SECONDS = Histogram(
    "ostiary_session_lookup_duration_seconds",
    "Time from sending a query that looks sessions up to its result.",
    bounds=OF_WAITS,
)
SERVICE_TOKEN_LOOKUP_BATCH_SIZE = Histogram(
    "ostiary_service_token_lookup_batch_size",
    "Number of requests whose service tokens were looked up by one query.",
    bounds=OF_BATCHES,
)
SERVICE_TOKEN_LOOKUP_SECONDS = Histogram(
    "ostiary_service_token_lookup_duration_seconds",
    "Time from sending a query that looks service tokens up to its result.",
    bounds=OF_WAITS,
)
POOL_WAIT_SECONDS = Histogram(
    "ostiary_database_pool_wait_seconds",
    "Time spent waiting for a database connection of the pool, including opening it.",
    bounds=OF_WAITS,
)
HASH_QUEUE_LENGTH = Gauge("ostiary_hash_queue_length", "Passwords that wait for a hash process.")
HASH_WAIT_SECONDS = Histogram(
    "ostiary_hash_wait_seconds",
    "Time that a password waited for a hash process.",
    bounds=OF_WAITS,
)
HASH_SECONDS = Histogram(
    "ostiary_hash_duration_seconds",
    "Time spent hashing or verifying a password, without the wait.",
    bounds=OF_HASHES,
)
HASHES_REFUSED = Counter(
    "ostiary_hashes_refused",
    "Passwords refused because the queue was full or the time limit was exceeded.",
)
MAILS = Counter(
    "ostiary_mails",
    "Attempts to send a mail, by its kind: `sent`, `postponed` to be tried again, `expired` before "
    "it could be sent, or `dead`.",
    *("kind", "result"),
)
MAILS_WAITING = Gauge(
    "ostiary_mails_waiting", "Mails in the outbox that are to be sent.", is_shared=True
)
MAILS_DEAD = Gauge(
    "ostiary_mails_dead", "Dead letters: mails that could not be sent.", is_shared=True
)
LOG_EVENTS_LOST = Counter("ostiary_log_events_lost", "Events of the log that could not be written.")
