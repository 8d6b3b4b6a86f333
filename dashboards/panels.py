"""The list: every dashboard, its panels, what each shows and from which queries."""

from grafana import Panel, dashboard

REQUESTS = "http_server_request_duration_seconds"
INTROSPECTION = 'http_route=~"(/admin)?/oauth2/introspect(/batch)?|/authz.*"'
RED = [{"color": "red", "value": 1}]


def lines(title, description, unit, *targets, **look):
    return Panel("timeseries", title, description, unit, *targets, **look)


def stat(title, description, unit, *targets, **look):
    return Panel("stat", title, description, unit, *targets, **{"width": 4, "height": 4, **look})


def table(title, description, *targets, unit="short", **look):
    return Panel("table", title, description, unit, *targets, **look)


def heatmap(title, description, *targets, **look):
    return Panel("heatmap", title, description, "s", *targets, **{"width": 12, **look})


def rate(name, labels="", by="", more=""):
    """Events a second."""
    by = f" by ({by})" if by else ""
    return f"sum{by} (rate({name}{{@{labels}}}[R])){more}"


def quantile(q, name, labels="", by=""):
    """A quantile of a histogram."""
    by = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({by}) (rate({name}_bucket{{@{labels}}}[R])))"


def quantiles(name, labels=""):
    return [(quantile(q, name, labels), f"p{int(float(q) * 100)}") for q in ("0.5", "0.95", "0.99")]


def share(part, whole):
    """A part of a whole; nothing of nothing is nought."""
    return f"({part}) / clamp_min({whole}, 1e-9)"


def errors(labels="", by=""):
    part = rate(REQUESTS + "_count", labels + ',http_response_status_code=~"5.."', by)
    return share(part, rate(REQUESTS + "_count", labels, by))


ROUTE = ',http_route=~"$route"'

OVERVIEW = dashboard(
    "signet-overview",
    "Signet / Overview",
    "Whether the service is well: replicas, requests, errors, latency, and what is left of the objectives.",
    [
        (
            "Now",
            [
                stat("Ready replicas", "Replicas whose every readiness check passes.", "none", ("sum(min by (instance) (signet_ready{@}))", "")),
                stat("Replicas", "Replicas that are scraped.", "none", ("count(signet_build_info{@})", "")),
                stat("Draining", "Replicas on their way out after a signal.", "none", ("sum(signet_draining{@})", "")),
                stat("Requests", "Requests a second on every listener.", "reqps", (rate(REQUESTS + "_count"), "")),
                stat(
                    "Failed requests",
                    "Share of requests answered 5xx.",
                    "percentunit",
                    (errors(), ""),
                    steps=[{"color": "red", "value": 0.001}],
                ),
                stat("In flight", "Requests that are being served.", "none", ("sum(http_server_active_requests{@})", "")),
                stat(
                    "Token budget left",
                    "What is left of the error budget of 30 days: the token endpoint is to answer 99.95 % of requests.",
                    "percentunit",
                    ('min(job:signet_slo_budget_left:ratio30d{@@,slo="token_availability"})', ""),
                    width=8,
                ),
                stat(
                    "Introspection budget left",
                    "The same of introspection, which is to answer 99.99 % of requests.",
                    "percentunit",
                    ('min(job:signet_slo_budget_left:ratio30d{@@,slo="introspection_availability"})', ""),
                    width=8,
                ),
                stat(
                    "Introspection latency budget left",
                    "The same of its latency: 99 % of introspections are to take less than 25 ms.",
                    "percentunit",
                    ('min(job:signet_slo_budget_left:ratio30d{@@,slo="introspection_latency"})', ""),
                    width=8,
                ),
            ],
        ),
        (
            "Requests",
            [
                lines("Requests by route", "Requests a second by route pattern.", "reqps", (rate(REQUESTS + "_count", ROUTE, "http_route"), "{{http_route}}"), width=12),
                lines("Requests by listener", "Requests a second by listener.", "reqps", (rate(REQUESTS + "_count", ROUTE, "listener"), "{{listener}}"), width=6),
                lines("Requests by status", "Requests a second by status code.", "reqps", (rate(REQUESTS + "_count", ROUTE, "http_response_status_code"), "{{http_response_status_code}}"), width=6),
                lines("Share of 5xx by route", "Share of a route's requests that were answered 5xx; 503 means overload or a dead database.", "percentunit", (errors(ROUTE, "http_route"), "{{http_route}}"), width=12, max=1),
                lines("In flight by listener", "Requests being served; what the autoscaler may look at.", "none", ("sum by (listener) (http_server_active_requests{@})", "{{listener}}"), width=6),
                lines("Refused by class", "Requests a second that were refused with 503 because the room of their class was full.", "reqps", (rate("signet_requests_shed_total", "", "class"), "{{class}}"), width=6),
            ],
        ),
        (
            "Latency",
            [
                lines("Latency", "Quantiles of the time from request line to answer, of the chosen routes.", "s", *quantiles(REQUESTS, ROUTE)),
                lines("p99 by route", "The slowest hundredth of each route.", "s", (quantile("0.99", REQUESTS, ROUTE, "http_route"), "{{http_route}}")),
                lines("Rooms in use", "Requests worked on, as a share of the most that a class works on at once.", "percentunit", ("sum by (class) (signet_requests_in_work{@}) / sum by (class) (signet_requests_in_work_max{@})", "{{class}}"), max=1),
            ],
        ),
        (
            "Replicas",
            [
                table(
                    "Versions",
                    "What runs where; two versions at once are a rollout.",
                    ("sum by (namespace, job, instance, version, revision, rustc) (signet_build_info{@})", ""),
                    width=16,
                    hide=["Value"],
                ),
                lines("Schema", "Migrations found in the database and needed by the replicas.", "none", ("max(signet_schema_version{@})", "found"), ("max(signet_schema_required{@})", "needed")),
                lines("CPU", "Cores used by each replica.", "none", ("sum by (instance) (rate(process_cpu_seconds_total{@}[R]))", "{{instance}}")),
                lines("Memory", "Resident memory of each replica.", "bytes", ("sum by (instance) (process_resident_memory_bytes{@})", "{{instance}}")),
                lines("Time since start", "How long each replica has been up.", "s", ("time() - max by (instance) (process_start_time_seconds{@})", "{{instance}}")),
            ],
        ),
    ],
    with_route=True,
)

TOKEN_ROUTE = ',http_route="/oauth2/token"'

TOKENS = dashboard(
    "signet-tokens",
    "Signet / Tokens",
    "What the token endpoint issues and refuses, to whom, and what it waits for.",
    [
        (
            "Requests",
            [
                lines("Requests by grant", "Requests to the token endpoint a second.", "reqps", (rate("signet_token_requests_total", "", "grant_type"), "{{grant_type}}")),
                lines("Refusals by error", "Requests a second that were not granted, by the error code of RFC 6749 and its extensions.", "reqps", (rate("signet_token_requests_total", ',result!="ok"', "result"), "{{result}}")),
                lines("Granted", "Share of requests that were granted, by grant.", "percentunit", (share(rate("signet_token_requests_total", ',result="ok"', "grant_type"), rate("signet_token_requests_total", "", "grant_type")), "{{grant_type}}"), max=1),
                lines("Latency", "Quantiles of the token endpoint's answers.", "s", *quantiles(REQUESTS, TOKEN_ROUTE)),
                lines("Client authentication", "Requests a second by the method of client authentication: who still sends secrets in the body?", "reqps", (rate("signet_token_requests_total", "", "auth_method"), "{{auth_method}}"), stacked=True),
                lines("Faults of ours", "Requests a second that failed through no fault of the client's.", "reqps", (rate("signet_token_requests_total", ',result=~"server_error|temporarily_unavailable"', "result"), "{{result}}"), (rate(REQUESTS + "_count", TOKEN_ROUTE + ',http_response_status_code=~"5.."', "http_response_status_code"), "{{http_response_status_code}}")),
            ],
        ),
        (
            "Tokens",
            [
                lines("Issued by grant", "Tokens a second, after their commit.", "ops", (rate("signet_tokens_issued_total", "", "grant_type"), "{{grant_type}}")),
                lines("Issued by type", "Opaque and signed access tokens, refresh and ID tokens.", "ops", (rate("signet_tokens_issued_total", "", "token_type"), "{{token_type}}"), stacked=True),
                lines("Signed access tokens", "Share of access tokens that are JWTs.", "percentunit", (share(rate("signet_tokens_issued_total", ',token_type="access_jwt"'), rate("signet_tokens_issued_total", ',token_type=~"access_.*"')), "JWT"), max=1),
                lines("Refreshes", "Refresh tokens rotated a second.", "ops", (rate("signet_token_requests_total", ',grant_type="refresh_token",result="ok"'), "rotated")),
                lines("Reuse", "Codes and refresh tokens a second that came again after their use; a reuse ends the grant, a grace repeats the answer.", "ops", (rate("signet_token_reuse_total", "", "what"), "{{what}}")),
                lines("Revocations", "Requests to the revocation endpoint a second.", "reqps", (rate(REQUESTS + "_count", ',http_route="/oauth2/revoke"', "http_response_status_code"), "{{http_response_status_code}}")),
            ],
        ),
        (
            "Users and devices",
            [
                lines("Authorization requests", "Answers of the authorization endpoint a second.", "reqps", (rate(REQUESTS + "_count", ',http_route="/oauth2/auth"', "http_response_status_code"), "{{http_response_status_code}}")),
                lines("Logins and consents", "Login and consent requests a second that ended.", "ops", (rate("signet_login_requests_total", "", "outcome"), "login {{outcome}}"), (rate("signet_consent_requests_total", "", "outcome"), "consent {{outcome}}")),
                lines("Devices", "Steps of device flows a second.", "ops", (rate("signet_device_codes_total", "", "outcome"), "{{outcome}}")),
                lines("Logouts", "Login sessions ended by a logout, a second.", "ops", (rate("signet_logouts_total"), "logouts")),
                lines("Logout tokens not delivered", "Back-channel logout tokens in the outbox: due again, or given up.", "none", ("max by (state) (signet_logout_outbox{@})", "{{state}}")),
            ],
        ),
        (
            "What tokens wait for",
            [
                lines("Outbound calls", "Calls of hooks, key sets and logout receivers a second, by outcome.", "ops", (rate("signet_webhook_duration_seconds_count", "", "hook, outcome"), "{{hook}} {{outcome}}")),
                lines("p99 of outbound calls", "How long others take to answer.", "s", (quantile("0.99", "signet_webhook_duration_seconds", "", "hook"), "{{hook}}")),
                lines("Secrets derived", "Checks of client secrets a second that were not remembered: each costs a key derivation.", "ops", (rate("signet_secret_derivation_seconds_count"), "derived")),
                lines("Seconds of a derivation", "Wait for a turn and derivation; grows when more secrets come than cores can check.", "s", *quantiles("signet_secret_derivation_seconds")),
            ],
        ),
    ],
)

INTROSPECTIONS = dashboard(
    "signet-introspection",
    "Signet / Introspection and cache",
    "How introspections are answered, from where, how fast, and how soon a revocation is known everywhere.",
    [
        (
            "Introspection",
            [
                lines("Introspections", "Introspections answered a second, by listener.", "reqps", (rate(REQUESTS + "_count", "," + INTROSPECTION, "listener"), "{{listener}}")),
                lines("Results", "What was said, and of an inactive token why.", "reqps", (rate("signet_introspections_total", "", "result"), "{{result}}"), stacked=True),
                lines("Sources", "Where the answer was found: in the process, in Redis, in the database, or nowhere because the token is not ours.", "reqps", (rate("signet_introspections_total", "", "source"), "{{source}}"), stacked=True),
                heatmap("Time to decide", "Every introspection by its time.", (rate("signet_introspection_duration_seconds_bucket", "", "le"), "{{le}}")),
                lines("p99 by source", "The slowest hundredth by where the answer was found.", "s", (quantile("0.99", "signet_introspection_duration_seconds", "", "source"), "{{source}}"), width=6),
                lines(
                    "Within 25 ms",
                    "Share of introspections that took less than 25 ms; the objective is 99 %.",
                    "percentunit",
                    (share(rate(REQUESTS + "_bucket", "," + INTROSPECTION + ',le="0.025"'), rate(REQUESTS + "_count", "," + INTROSPECTION)), "within 25 ms"),
                    width=6,
                    max=1,
                ),
            ],
        ),
        (
            "Cache",
            [
                lines("Hit ratio", "Share of lookups that were answered without the database.", "percentunit", (share(rate("signet_introspection_cache_total", ',result=~"local|redis"'), rate("signet_introspection_cache_total")), "hits"), max=1),
                lines("Lookups", "What lookups brought.", "ops", (rate("signet_introspection_cache_total", "", "result"), "{{result}}"), stacked=True),
                lines("Kept in the process", "Answers in the tier inside each process.", "none", ("sum by (instance) (signet_introspection_cache_entries{@})", "{{instance}}")),
                lines("Evictions", "Answers that left that tier a second: no room, too old, or the token ended.", "ops", (rate("signet_introspection_cache_evictions_total", "", "reason"), "{{reason}}")),
                lines("Faults of Redis", "Calls a second that brought nothing.", "ops", (rate("signet_redis_faults_total", "", "reason"), "{{reason}}")),
                lines("Bypassed", "Replicas that ask the database for everything because the news from Redis are not heard.", "none", ("sum(signet_introspection_cache_bypassed{@})", "bypassed")),
            ],
        ),
        (
            "Revocation",
            [
                lines("p99 of the revocation lag", "How long news take through Redis, to the sender itself and to a peer and back; more than five seconds page somebody.", "s", (quantile("0.99", "signet_revocation_lag_seconds", "", "path"), "{{path}}")),
                lines("News not told", "Revocations a second that the other replicas could not be told of.", "ops", (rate("signet_revocation_news_failed_total"), "not told")),
                lines("Opaque and signed", "Access tokens issued a second: opaque ones must be introspected, signed ones need not.", "ops", (rate("signet_tokens_issued_total", ',token_type=~"access_.*"', "token_type"), "{{token_type}}")),
            ],
        ),
    ],
)

ACTOR = "signet_actor_"

RUNTIME = dashboard(
    "signet-runtime",
    "Signet / Runtime",
    "Actors, event loops, the process, the connection pool and the database.",
    [
        (
            "Actors",
            [
                lines("Mailboxes", "Messages accepted and not answered, as a share of the most that an actor accepts.", "percentunit", ("sum by (actor) (signet_actor_tickets_in_use{@}) / (sum by (actor) (signet_actor_tickets_max{@}) > 0)", "{{actor}}"), max=1),
                lines("Messages", "Messages answered a second.", "ops", (rate(ACTOR + "wait_seconds_count", "", "actor"), "{{actor}}")),
                lines("Refused, stopped", "Messages refused because a mailbox was full, and actors that died, a second.", "ops", (rate(ACTOR + "shed_total", "", "actor"), "{{actor}} refused"), (rate(ACTOR + "stopped_total", "", "actor"), "{{actor}} stopped")),
                heatmap("Wait in a mailbox", "Messages by how long they waited before the work on them began.", (rate(ACTOR + "queue_seconds_bucket", "", "le"), "{{le}}")),
                heatmap("Work", "Messages by how long they were worked on, the commit included.", (rate(ACTOR + "handle_seconds_bucket", "", "le"), "{{le}}")),
                lines("p99 of the wait", "The slowest hundredth by actor.", "s", (quantile("0.99", ACTOR + "queue_seconds", "", "actor"), "{{actor}}")),
                lines("p99 of the work", "The slowest hundredth by actor.", "s", (quantile("0.99", ACTOR + "handle_seconds", "", "actor"), "{{actor}}")),
                lines("Messages of a commit", "How many messages one commit answers, on average.", "none", (share(rate(ACTOR + "batch_size_sum", "", "actor"), rate(ACTOR + "batch_size_count", "", "actor")), "{{actor}}")),
            ],
        ),
        (
            "Process",
            [
                lines("Event loops", "Share of the time that the threads of a runtime worked.", "percentunit", (rate("signet_runtime_busy_seconds_total", "", "runtime") + " / (sum by (runtime) (signet_runtime_workers{@}) > 0)", "{{runtime}}"), max=1),
                lines("Tasks", "Tasks alive in the runtimes.", "none", ("sum by (runtime) (signet_runtime_tasks{@})", "{{runtime}}")),
                lines("CPU", "Cores used by each replica.", "none", ("sum by (instance) (rate(process_cpu_seconds_total{@}[R]))", "{{instance}}")),
                lines("Resident memory", "What the allocator holds, by replica.", "bytes", ("sum by (instance) (process_resident_memory_bytes{@})", "{{instance}}")),
                lines("File descriptors", "Open descriptors as a share of those allowed.", "percentunit", ("max by (instance) (process_open_fds{@} / process_max_fds{@})", "{{instance}}"), max=1),
                lines("Threads and panics", "Threads of each replica, and panics caught a second.", "none", ("sum by (instance) (process_threads{@})", "{{instance}}"), (rate("signet_panics_total"), "panics")),
            ],
        ),
        (
            "Database",
            [
                lines("Connections", "Pooled connections, and the most there may be; SQLite has none.", "none", ("sum by (state) (db_client_connection_count{@})", "{{state}}"), ("sum(db_client_connection_max{@})", "at most")),
                lines("Waiting for a connection", "Requests that wait for a pooled connection.", "none", ("sum by (instance) (db_client_connection_pending_requests{@})", "{{instance}}")),
                lines("Wait for a connection", "Quantiles of the time until a connection was there.", "s", *quantiles("db_client_connection_wait_time_seconds")),
                lines("Operations", "Verbs of the store a second.", "ops", (rate("db_client_operation_duration_seconds_count", "", "db_operation_name"), "{{db_operation_name}}")),
                lines("Slowest operations", "The ten verbs with the slowest hundredth.", "s", (f"topk(10, {quantile('0.99', 'db_client_operation_duration_seconds', '', 'db_operation_name')})", "{{db_operation_name}}")),
                lines("Transactions run again", "Transactions a second that lost against another one and were run again.", "ops", (rate("signet_db_tx_retries_total", "", "reason"), "{{reason}}")),
            ],
        ),
    ],
)

CREDENTIAL_ROUTES = ',http_route=~"/oauth2/.*|/userinfo"'

SECURITY = dashboard(
    "signet-security",
    "Signet / Security and audit",
    "Attacks, keys and secrets, and who changes what.",
    [
        (
            "Attacks and accidents",
            [
                lines("Failed client authentication", "Failures a second by reason; unknown clients and wrong secrets are guesses, the rest is mostly configuration.", "ops", (rate("signet_client_auth_failures_total", "", "reason"), "{{reason}}")),
                lines("The same by method", "Failures a second by the method of client authentication.", "ops", (rate("signet_client_auth_failures_total", "", "method"), "{{method}}")),
                lines("Refused for their number", "Requests a second refused because their class was full (503), and checks of secrets that would have waited too long (429).", "reqps", (rate("signet_requests_shed_total", "", "class"), "{{class}}"), (rate("signet_client_auth_failures_total", ',reason="overloaded"'), "secrets")),
                lines("Reuse", "Codes and refresh tokens a second that came again: a theft, or a client that repeats itself.", "ops", (rate("signet_token_reuse_total", "", "what"), "{{what}}")),
                lines("Refusals on the public listener", "Answers 400, 401, 403 and 429 a second by route.", "reqps", (rate(REQUESTS + "_count", CREDENTIAL_ROUTES + ',listener="public",http_response_status_code=~"400|401|403|429"', "http_route, http_response_status_code"), "{{http_route}} {{http_response_status_code}}")),
                lines("Tokens that are not ours", "Introspections a second of forged, malformed and unknown tokens.", "reqps", (rate("signet_introspections_total", ',result=~"malformed|unknown"', "result"), "{{result}}")),
            ],
        ),
        (
            "Keys, secrets, certificates",
            [
                lines("Age of signing keys", "Age of the key that signs, and the age at which the next one takes over.", "s", ("max by (set, alg) (signet_jwk_age_seconds{@})", "{{set}} {{alg}}"), ("max(signet_jwk_rotation_seconds{@})", "rotation")),
                lines("Keys published", "Keys of each set; none that its signer has signed with may be missing.", "none", ("min by (set) (signet_jwk_active{@})", "{{set}}")),
                lines("Keys that do not open", "Stored keys a second that no configured secret opens: was one dropped too soon?", "ops", (rate("signet_jwk_decrypt_failures_total"), "not opened")),
                lines("Secrets configured", "Secrets of each kind; more than one is a rotation under way.", "none", ("max by (kind) (signet_secrets{@})", "{{kind}}")),
                lines("Old secrets in use", "Values a second that an older secret opened, which therefore must stay.", "ops", (rate("signet_secret_generation_total", "", "kind"), "{{kind}}")),
                stat("Certificate ends in", "Time until the first certificate of a listener runs out.", "s", ("min(signet_tls_certificate_expiry_timestamp_seconds{@} - time())", ""), width=8, height=8),
            ],
        ),
        (
            "Who changes what",
            [
                lines("Changes by operators", "Writes on the administrative listener a second, by route.", "reqps", (rate(REQUESTS + "_count", ',listener="admin",http_request_method!="GET",http_route!~".*/introspect(/batch)?|.*/requests/.*"', "http_request_method, http_route"), "{{http_request_method}} {{http_route}}"), width=12),
                lines("Refused changes", "Answers 4xx of the administrative listener a second, by route.", "reqps", (rate(REQUESTS + "_count", ',listener="admin",http_response_status_code=~"4.."', "http_route, http_response_status_code"), "{{http_route}} {{http_response_status_code}}"), width=12),
                lines("Logins and consents", "Login and consent requests a second that ended.", "ops", (rate("signet_login_requests_total", "", "outcome"), "login {{outcome}}"), (rate("signet_consent_requests_total", "", "outcome"), "consent {{outcome}}"), width=12),
                lines("User codes", "Device codes a second that were entered rightly, wrongly, and too often.", "ops", (rate("signet_device_codes_total", ',outcome=~"user_code_accepted|wrong_user_code|too_many_guesses"', "outcome"), "{{outcome}}"), width=12),
            ],
        ),
    ],
)

WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]


def burn(slo):
    return [(f'max(job:signet_slo_burn:ratio_rate{window}{{@@,slo="{slo}"}})', window) for window in WINDOWS]


SLO = dashboard(
    "signet-slo",
    "Signet / SLO",
    "Token endpoint: 99.95 % of requests answered. Introspection: 99.99 % answered, 99 % within 25 ms. A burn rate of 1 uses up "
    "the budget in exactly 30 days; 14.4 in two days.",
    [
        (
            "Budgets of 30 days",
            [
                stat("Token endpoint", "Error budget left of 99.95 % availability.", "percentunit", ('min(job:signet_slo_budget_left:ratio30d{@@,slo="token_availability"})', ""), width=8),
                stat("Introspection", "Error budget left of 99.99 % availability.", "percentunit", ('min(job:signet_slo_budget_left:ratio30d{@@,slo="introspection_availability"})', ""), width=8),
                stat("Introspection within 25 ms", "Budget left of 99 % of introspections within 25 ms.", "percentunit", ('min(job:signet_slo_budget_left:ratio30d{@@,slo="introspection_latency"})', ""), width=8),
            ],
        ),
        (
            "Burn rates",
            [
                table(
                    "Burn rate by window",
                    "How many times faster than allowed a budget is used up. Pages: 14.4 over 1h and 5m, 6 over 6h and 30m. "
                    "Tickets: 3 over 1d and 2h, 1 over 3d and 6h.",
                    *[(f"max by (slo) (job:signet_slo_burn:ratio_rate{window}{{@@}})", window) for window in WINDOWS],
                    width=24,
                    height=6,
                    rename={f"Value #{chr(ord('A') + at)}": window for at, window in enumerate(WINDOWS)},
                ),
                lines("Token endpoint", "Burn rate of the token endpoint's availability by window.", "short", *burn("token_availability")),
                lines("Introspection", "Burn rate of introspection's availability by window.", "short", *burn("introspection_availability")),
                lines("Introspection within 25 ms", "Burn rate of introspection's latency by window.", "short", *burn("introspection_latency")),
            ],
        ),
        (
            "Behind it",
            [
                lines("Share of failures", "Share of requests answered 5xx over five minutes, and of introspections that took 25 ms or longer.", "percentunit", ("max by (slo) (job:signet_slo_errors:ratio_rate5m{@@})", "{{slo}}")),
                lines("Requests", "Requests a second that are judged.", "reqps", ("sum by (slo) (job:signet_slo_requests:rate5m{@@})", "{{slo}}")),
                lines("p99", "The slowest hundredth of each judged route.", "s", ("max by (http_route) (job_route:http_server_request_duration_seconds:p99_5m{@@})", "{{http_route}}")),
                lines("Revocation lag", "How long news of a revocation take to the other replicas, at the slowest hundredth. No budget: more than five seconds page.", "s", (quantile("0.99", "signet_revocation_lag_seconds", "", "path"), "{{path}}")),
            ],
        ),
    ],
)

SINGLE_NODE = dashboard(
    "signet-single-node",
    "Signet / Single node (SQLite)",
    "A server whose database is a file beside it.",
    [
        (
            "Files",
            [
                lines("Database file", "Size of the SQLite file.", "bytes", ('sum by (instance) (signet_sqlite_file_bytes{@,file="database"} > 0)', "{{instance}}")),
                lines("Write-ahead log", "Size of the log; one that keeps growing means that a long reader keeps checkpoints from ending.", "bytes", ('sum by (instance) (signet_sqlite_file_bytes{@,file="wal"}) and sum by (instance) (signet_sqlite_file_bytes{@,file="database"} > 0)', "{{instance}}")),
                lines("Commits", "Commits a second; many requests share one.", "ops", (rate("signet_sqlite_commit_seconds_count"), "commits")),
                lines("Time of a commit", "Quantiles of the time that a commit took, now and then with a checkpoint of the log.", "s", *quantiles("signet_sqlite_commit_seconds")),
                lines("Wait for the lock", "Quantiles of the wait for the lock for writing, which a backup or a shell may hold.", "s", *quantiles("signet_sqlite_lock_seconds")),
                lines("Busy retries", "How often a second the lock was asked for again.", "ops", (rate("signet_db_tx_retries_total", ',reason="busy"'), "busy")),
            ],
        ),
        (
            "Sweeps",
            [
                lines("Rows swept", "Expired rows deleted a second, by table.", "ops", (rate("signet_janitor_deleted_rows_total", "", "table"), "{{table}}")),
                lines("Backlog", "Tables of which the last sweep could not take all.", "none", ("max by (table) (signet_janitor_backlog{@})", "{{table}}")),
                lines("Since the last sweep", "Seconds since the last sweep, and how many there should be between two.", "s", ("time() - max(signet_janitor_last_success_timestamp_seconds{@})", "since the last"), ("max(signet_janitor_interval_seconds{@})", "interval")),
                lines("Time of a sweep", "Quantiles of the time that a sweep took.", "s", *quantiles("signet_janitor_duration_seconds")),
            ],
        ),
        (
            "Work",
            [
                lines("Requests", "Requests a second.", "reqps", (rate(REQUESTS + "_count", "", "listener"), "{{listener}}")),
                lines("Operations", "Verbs of the store a second.", "ops", (rate("db_client_operation_duration_seconds_count", "", "db_operation_name"), "{{db_operation_name}}")),
                lines("p99 of operations", "The slowest hundredth of each verb.", "s", (quantile("0.99", "db_client_operation_duration_seconds", "", "db_operation_name"), "{{db_operation_name}}")),
            ],
        ),
    ],
)

DASHBOARDS = {
    "overview": OVERVIEW,
    "tokens": TOKENS,
    "introspection": INTROSPECTIONS,
    "runtime": RUNTIME,
    "security": SECURITY,
    "slo": SLO,
    "single-node": SINGLE_NODE,
}
