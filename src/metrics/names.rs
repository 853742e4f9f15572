//! Every metric name, exactly once, with what it tells.

/// One metric: its name and what it tells.
pub(super) struct Name(pub(super) &'static str, pub(super) &'static str);

pub(super) const WEBHOOKS: Name = Name(
    "switchback_webhooks_total",
    "Webhooks answered or failed, by the backend that was asked and what became of them.",
);
pub(super) const WEBHOOK_DURATION: Name = Name(
    "switchback_webhook_duration_seconds",
    "Voice webhooks: from ready to send to the last byte of the answer.",
);
pub(super) const UNCOUNTED: Name = Name(
    "switchback_webhooks_uncounted_total",
    "Webhooks not known to be genuine where they should be, or told a second time: answered, and counted nowhere else.",
);
pub(super) const SIGNATURES: Name = Name(
    "switchback_signatures_total",
    "Webhooks whose signature was looked at: verified, replayed (the very same came before), absent or rejected.",
);
pub(super) const DATA_QUERY: Name = Name(
    "switchback_data_query_seconds",
    "Time the backend says its data took (Server-Timing: db).",
);
pub(super) const CONNECT: Name = Name(
    "switchback_connect_seconds",
    "Time it took to open a connection to the backend.",
);
pub(super) const STREAMS: Name = Name(
    "switchback_streams_total",
    "Websockets that providers asked for, by whether the backend took them.",
);
pub(super) const STREAMS_ACTIVE: Name = Name("switchback_streams_active", "Websockets open now.");
pub(super) const MENU_CHOICES: Name = Name(
    "switchback_menu_choices_total",
    "First menu choices of callers, by the key pressed.",
);
pub(super) const OVERHEAD: Name = Name(
    "switchback_overhead_seconds",
    "Time a webhook spent in the proxy itself.",
);
pub(super) const CALLS: Name = Name(
    "switchback_calls_total",
    "Calls that are over, by how they ended.",
);
pub(super) const CALLS_BEGUN: Name = Name(
    "switchback_calls_begun_total",
    "Calls seen for the first time, by the backend they were pinned to.",
);
pub(super) const CALLS_ACTIVE: Name =
    Name("switchback_calls_active", "Calls begun and not ended, now.");
pub(super) const PLACEMENTS: Name = Name(
    "switchback_placements_total",
    "Requests placed, by where and why.",
);
pub(super) const RESCUES: Name = Name(
    "switchback_rescues_total",
    "Webhooks that legacy was asked to answer after new had failed them.",
);
pub(super) const CAP: Name = Name(
    "switchback_backend_cap",
    "Requests that may be on their way to the backend at once; 0: as many as come, and none is counted.",
);
pub(super) const IN_FLIGHT: Name = Name(
    "switchback_backend_in_flight",
    "Requests on their way to a backend with a cap, now.",
);
pub(super) const IN_FLIGHT_MOST: Name = Name(
    "switchback_backend_in_flight_most",
    "The most requests that were on their way to a backend with a cap at once, since the process began.",
);
pub(super) const QUEUED: Name = Name(
    "switchback_backend_queued",
    "Webhooks that wait until the backend has room, now.",
);
pub(super) const TURNED_AWAY: Name = Name(
    "switchback_backend_turned_away_total",
    "Webhooks that were not passed on, because the backend had no room.",
);
pub(super) const PERCENTAGE: Name = Name(
    "switchback_percentage",
    "The share of new asked for, 0 to 100.",
);
pub(super) const STAGE: Name = Name(
    "switchback_plan_stage",
    "Number of the plan's stage that runs, from 1; 0: none, or no plan.",
);
pub(super) const STAGES: Name = Name("switchback_plan_stages", "Stages of the plan; 0: no plan.");
pub(super) const STAGE_WAITS: Name = Name(
    "switchback_plan_waits_for",
    "How many points are missing before the plan's next stage may begin.",
);
pub(super) const STAGE_SOAKED: Name = Name(
    "switchback_plan_stage_soaked_seconds",
    "How long the plan's stage has run.",
);
pub(super) const STAGE_SOAK: Name = Name(
    "switchback_plan_stage_soak_seconds",
    "How long the plan's stage must run at least.",
);
pub(super) const STOPPED: Name = Name(
    "switchback_stopped",
    "1 while an emergency stop lets nobody through: who calls anew hears the last resort.",
);
pub(super) const PHASE: Name = Name("switchback_phase", "1 for the phase the rollout is in.");
pub(super) const LATCHED: Name = Name(
    "switchback_latched",
    "1 while every new call goes to legacy until a person clears it.",
);
pub(super) const DURABLE: Name = Name(
    "switchback_durable",
    "1 while everything that was decided is on disk.",
);
pub(super) const GENERATION: Name = Name(
    "switchback_generation",
    "Generation of the routing in force.",
);
pub(super) const RULE_VALUE: Name = Name(
    "switchback_rule_value",
    "A rule's value in its measure's own unit (share 0 to 1, milliseconds of waiting, seconds of a call, number); NaN without a sample.",
);
pub(super) const RULE_THRESHOLD: Name = Name(
    "switchback_rule_threshold",
    "The threshold a rule's value is held against, in the same unit.",
);
pub(super) const RULE_SAMPLES: Name = Name(
    "switchback_rule_samples",
    "Distinct calls or events behind a rule's value.",
);
pub(super) const RULE_FIRING: Name = Name("switchback_rule_firing", "1 while a rule trips.");
pub(super) const REVERSALS: Name = Name(
    "switchback_reversals_total",
    "Reversals to legacy, by the rule that tripped.",
);
pub(super) const REFUSED: Name = Name(
    "switchback_refused_total",
    "Requests refused at the public edge, by status sent.",
);
pub(super) const UNSECURED: Name = Name(
    "switchback_tls_handshakes_failed_total",
    "Clients whose TLS handshake came to nothing, by how.",
);
pub(super) const CERTIFICATE_EXPIRY: Name = Name(
    "switchback_certificate_expiry_timestamp_seconds",
    "When a certificate ceases to be good, in seconds since 1970, by its place in the configuration.",
);
pub(super) const FLAWED: Name = Name(
    "switchback_documents_flawed_total",
    "Answers with a flaw in the document, also where it was only a warning.",
);
pub(super) const AFTER_LATCH: Name = Name(
    "switchback_new_calls_after_latch_total",
    "New calls whose first byte went to new although latched. Must stay 0.",
);
pub(super) const VERIFICATION: Name = Name(
    "switchback_verification",
    "1 for each step taken since everything went to legacy; all 0 while nothing is latched.",
);
pub(super) const ESCALATIONS: Name = Name(
    "switchback_verification_escalations_total",
    "Times it was told that new calls reached new although latched. Must stay 0.",
);
pub(super) const TALLY_DROPPED: Name = Name(
    "switchback_tally_dropped_total",
    "Observations lost because the engine did not come to fetch them.",
);
pub(super) const TABLE_SIZE: Name = Name(
    "switchback_call_table_size",
    "Calls in the call table, ended ones included.",
);
pub(super) const EVICTIONS: Name = Name(
    "switchback_evictions_total",
    "Calls put out of a full call table.",
);
pub(super) const SIGNATURES_FORGOTTEN: Name = Name(
    "switchback_signatures_forgotten_total",
    "Signatures forgotten before their time because too many came; a replay of one of them counts.",
);
pub(super) const PINS_LOADED: Name = Name(
    "switchback_pins_loaded_total",
    "Pins read back at the start.",
);
pub(super) const PINS_UNSAVED: Name = Name(
    "switchback_pins_unsaved_total",
    "Pins that could not be saved; a crash would forget them.",
);
pub(super) const ACCEPT_ERRORS: Name = Name(
    "switchback_accept_errors_total",
    "Connections of providers that could not be taken: no descriptors, no memory.",
);
pub(super) const CONNECTIONS_REFUSED: Name = Name(
    "switchback_connections_refused_total",
    "Connections closed as they came, because their source had as many as it may.",
);
pub(super) const LOCAL_ERRORS: Name = Name(
    "switchback_connect_local_errors_total",
    "Connections to backends that could not be opened by our own doing, by what was lacking.",
);
pub(super) const PANICS: Name = Name(
    "switchback_panics_total",
    "Requests that made the proxy panic; each ended its own connection. Must stay 0.",
);
pub(super) const WORKERS_REPLACED: Name = Name(
    "switchback_workers_replaced_total",
    "Workers that ended by themselves and were replaced. Must stay 0.",
);
pub(super) const ACCESS_LOG_DROPPED: Name = Name(
    "switchback_access_log_dropped_total",
    "Lines that are not in the access log because its disk was full or too slow.",
);
pub(super) const RECORDING_DROPPED: Name = Name(
    "switchback_log_dropped_total",
    "Lines that are not in the recording or the decision trace because the disk was full or too slow.",
);
pub(super) const RELOAD_OK: Name = Name(
    "switchback_config_last_reload_successful",
    "1 if the last reading of the configuration file was taken.",
);
pub(super) const BREAKER_STATE: Name = Name(
    "switchback_breaker_state",
    "1 for the state the backend's breaker is in; closed where it has none.",
);
pub(super) const BREAKER_OPENS: Name = Name(
    "switchback_breaker_opens_total",
    "Times the backend's breaker opened; a trial that failed is no other opening.",
);
pub(super) const BACKEND_UP: Name = Name(
    "switchback_backend_up",
    "0 while the health check says that the backend is down; 1 else, also where nobody checks.",
);
pub(super) const HEALTH_CHECKS: Name = Name(
    "switchback_health_checks_total",
    "Health checks, by what came of them.",
);
pub(super) const JOURNAL_MATCHES: Name = Name(
    "switchback_journal_matches_state",
    "0 if the journal, read back, said something else than what runs; else 1.",
);
pub(super) const BUILD: Name = Name("switchback_build_info", "1; the labels name the build.");

pub(super) const COUNTERS: [&Name; 30] = [
    &UNSECURED,
    &WEBHOOKS,
    &UNCOUNTED,
    &SIGNATURES,
    &STREAMS,
    &MENU_CHOICES,
    &CALLS,
    &CALLS_BEGUN,
    &PLACEMENTS,
    &RESCUES,
    &TURNED_AWAY,
    &BREAKER_OPENS,
    &HEALTH_CHECKS,
    &REVERSALS,
    &REFUSED,
    &FLAWED,
    &AFTER_LATCH,
    &ESCALATIONS,
    &TALLY_DROPPED,
    &EVICTIONS,
    &SIGNATURES_FORGOTTEN,
    &PINS_LOADED,
    &PINS_UNSAVED,
    &ACCEPT_ERRORS,
    &CONNECTIONS_REFUSED,
    &LOCAL_ERRORS,
    &PANICS,
    &WORKERS_REPLACED,
    &ACCESS_LOG_DROPPED,
    &RECORDING_DROPPED,
];
pub(super) const GAUGES: [&Name; 29] = [
    &CERTIFICATE_EXPIRY,
    &CALLS_ACTIVE,
    &STREAMS_ACTIVE,
    &CAP,
    &IN_FLIGHT,
    &IN_FLIGHT_MOST,
    &QUEUED,
    &BREAKER_STATE,
    &BACKEND_UP,
    &PERCENTAGE,
    &PHASE,
    &STAGE,
    &STAGES,
    &STAGE_WAITS,
    &STAGE_SOAKED,
    &STAGE_SOAK,
    &STOPPED,
    &LATCHED,
    &VERIFICATION,
    &DURABLE,
    &JOURNAL_MATCHES,
    &GENERATION,
    &RULE_VALUE,
    &RULE_THRESHOLD,
    &RULE_SAMPLES,
    &RULE_FIRING,
    &TABLE_SIZE,
    &RELOAD_OK,
    &BUILD,
];
pub(super) const HISTOGRAMS: [&Name; 4] = [&WEBHOOK_DURATION, &OVERHEAD, &DATA_QUERY, &CONNECT];
