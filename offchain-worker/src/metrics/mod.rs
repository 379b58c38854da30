//! The worker's metrics, for Prometheus. Each is declared once: field, type, name, labels and help in one place.
//! No label ever names a person, a record or a segment.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

/// What every metric's name begins with.
macro_rules! name {
    ($name:literal) => {
        concat!("epione_worker_", $name)
    };
}

/// Declares [`Metrics`]: `field: Type = "name" ["label", ...] from INITIAL, "Help";`. Without `from`, a metric
/// starts at 0.
macro_rules! metrics {
    ($(
        $field:ident: $type:ident = $name:literal $([$($label:literal),+])? $(from $initial:literal)?, $help:literal;
    )*) => {
        /// The worker's metrics. Clones share them.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Metrics {
            /// The names of all metrics, including those that have not counted anything yet.
            pub const NAMES: &'static [&'static str] = &[$(name!($name)),*];

            /// Metrics in a new registry.
            pub fn new() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let $field: $type =
                        register(&registry, Opts::new(name!($name), $help), &[$($($label),+)?])?;
                    $($field.set($initial);)?
                )*
                Ok(Self { registry, $($field,)* })
            }
        }
    };
}

metrics! {
    requests: IntCounterVec = "requests_total" ["route", "status"], "HTTP requests, by route and status.";
    request_seconds: HistogramVec = "request_seconds" ["route"],
        "Seconds from a request to the headers of its response, by route.";
    problems: IntCounterVec = "problems_total" ["problem"], "HTTP requests that were answered with a problem, by its kind.";
    connections_open: IntGauge = "connections_open", "Connections of clients and other hospitals that are open.";
    connections_refused: IntCounterVec = "connections_refused_total" ["reason"],
        "Connections that were closed at once, by reason: address (too many from one address), or all (too many in \
         all).";
    connections_idle: IntCounter = "connections_idle_total",
        "Connections that were closed because they had no request for too long.";
    visits_acknowledged: IntCounter = "visits_acknowledged_total", "Visits that were stored and queued.";
    visits_refused: IntCounterVec = "visits_refused_total" ["problem"],
        "Rejected requests to submit visits or their media, by problem.";
    uploads_open: IntGauge = "uploads_open", "Visits whose media are still being uploaded.";
    upload_bytes_held: IntGauge = "upload_bytes_held", "Bytes of media that were received and are not sealed yet.";
    grants: IntCounter = "grants_total", "Access grants that were sent to their requesters.";
    receipts: IntCounter = "receipts_total",
        "Access grants that the chain recorded. Each is then sent, unless its requester has disconnected.";
    transfers: IntCounter = "transfers_total",
        "Sealed grants of patients for which the chain recorded the transfer to the requester.";
    hand_outs: IntCounter = "hand_outs_total",
        "Openings of which the chain recorded that this hospital hands out its part to the requester.";
    partials: IntCounter = "partials_total",
        "Parts of openings, sealed to their requesters, that were sent.";
    query_notifications: IntCounterVec = "query_notifications_total" ["result"],
        "Changes of queries of this hospital's patients, by the result of telling the webhook: told, merged (the same \
         requester asked the same patient shortly before), failed (after all attempts), or \
         missed (too many came at once).";
    counts: IntCounterVec = "counts_total" ["result"],
        "Questions of requesters how many patients share something with them, by result: answered, repeated (asked \
         before today), or beyond-limit (the daily limit of the requester, or of the requester's hospital).";
    records_closed: IntGauge = "records_closed",
        "Committed records of this hospital that no key of the worker opens, or that the worker cannot read. They are \
         neither counted nor placed by kind.";
    sections_indexed: IntGauge = "sections_indexed_at",
        "Unix time at which the index of sections contained every lite block of the node's finalized state. If it is \
         old, counts and placing by kind are behind.";
    records_to_place: IntGauge = "records_to_place",
        "Committed records of this hospital of which the worker has not decided yet which sections their patients \
         share by kind.";
    sections_placed: IntCounter = "sections_placed_total",
        "Sections that the worker placed in a slot of their patient, whose consent names their kind.";
    records_to_wrap: IntGauge = "records_to_wrap",
        "Slots of committed records of this hospital whose sections the worker wraps under the consortium key, as far \
         as their patients' standing consents require it.";
    sections_wrapped: IntCounter = "sections_wrapped_total",
        "Sections that the worker wrapped under the consortium key, for standing consents.";
    emergencies: IntCounter = "emergencies_total", "Access grants for an emergency (break glass).";
    emergency_openings: IntCounter = "emergency_openings_total",
        "Openings of emergency summaries at all hospitals, of which the worker has seen the review.";
    refusals: IntCounterVec = "refusals_total" ["result"],
        "Requests for access that the policies did not allow, by the result of recording them on \
         the chain: recorded, beyond-limit (the requester's daily limit), hospital-limit (the \
         hospital's daily limit), no-patient (no such patient), \
         elsewhere (a record of another hospital or patient), known (recorded before), or failed.";
    reviews_open: IntGauge = "reviews_open", "Emergencies of all hospitals that wait for a verdict.";
    reviews_expired: IntGauge = "reviews_expired",
        "Emergencies of all hospitals that expired without a verdict.";
    unready: IntGauge = "unready",
        "1 while this hospital does not validate until the worker says that it is ready: it is new, or made no block in \
         a whole session.";
    recoveries_open: IntGaugeVec = "recoveries_open" ["by"],
        "Users for whom new keys are proposed, to which nobody has objected yet: by another hospital, for users of this \
         hospital, or by this hospital's own agent.";
    profiles_to_rewrap: IntGauge = "profiles_to_rewrap",
        "Profiles that are sealed to an earlier key, and that the worker will seal to the current \
         key.";
    profiles_of_earlier_keys: IntGauge = "profiles_of_earlier_keys",
        "Profiles of ended registrations. They stay sealed to an earlier key.";
    consortium_epoch: IntGauge = "consortium_epoch" from -1,
        "Number of the epoch of the consortium key; -1 before the first.";
    consortium_epoch_age_blocks: IntGauge = "consortium_epoch_age_blocks",
        "Chain blocks since the epoch of the consortium key began.";
    consortium_refresh_blocks: IntGauge = "consortium_refresh_blocks",
        "Chain blocks after which the members of the consortium key renew their shares.";
    consortium_seats_without_share: IntGauge = "consortium_seats_without_share",
        "Members of the consortium key that have not confirmed their share of the epoch.";
    consortium_share_held: IntGauge = "consortium_share_held" from 1,
        "0 if this hospital is a member of the consortium key and the worker does not have its share.";
    consortium_ceremonies_failed: IntGauge = "consortium_ceremonies_failed",
        "Ceremonies of the consortium key that failed since the last one that succeeded.";
    consortium_phase_blocks: IntGauge = "consortium_phase_blocks",
        "Chain blocks for which the present phase of a ceremony of the consortium key has lasted; 0 if none is running.";
    announcements: IntCounter = "announcements_total", "Lite blocks that this hospital announced.";
    announcements_failed: IntCounter = "announcements_failed_total",
        "Lite blocks of this hospital that were rejected, expired, not accepted by the chain, or not announced because \
         the worker found a fault.";
    visits_held: IntCounterVec = "visits_held_total" ["reason"],
        "Times that a queued visit was held back because the other hospitals would reject its block, by reason.";
    visits_set_aside: IntGauge = "visits_set_aside",
        "Acknowledged visits that the worker set aside within the last day: they were not announced in time, or the \
         chain has another record with their record id. Their authors must submit them again.";
    blocks_committed: IntCounter = "blocks_committed_total",
        "Committed lite blocks of which this hospital stores every segment.";
    approvals: IntCounter = "approvals_total", "Lite blocks of other hospitals that this hospital approved.";
    rejections: IntCounterVec = "rejections_total" ["reason"],
        "Lite blocks of other hospitals that this hospital rejected, by reason.";
    segments_stored: IntCounter = "segments_stored_total", "Segments that were stored.";
    segment_bytes_stored: IntCounter = "segment_bytes_stored_total", "Bytes of segments that were stored.";
    segments_served: IntCounter = "segments_served_total", "Segments that the worker served.";
    segment_bytes_served: IntCounter = "segment_bytes_served_total", "Bytes of segments that the worker served.";
    segments_redirected: IntCounter = "segments_redirected_total",
        "Requests for segments that were redirected to the object storage.";
    segments_damaged: IntCounter = "segments_damaged_total", "Stored segments that were found damaged.";
    segments_repaired: IntCounter = "segments_repaired_total", "Segments that were recovered from another hospital.";
    segments_collected: IntCounter = "segments_collected_total",
        "Unneeded segments that the worker deleted.";
    peer_fetches: IntCounterVec = "peer_fetches_total" ["result"],
        "Requests to other hospitals for segments, or for the list of those they store, by result.";
    peer_bytes: IntCounterVec = "peer_bytes_total" ["from"],
        "Bytes of segments from other hospitals: from the block's announcer, or from another \
         hospital (other).";
    peers_dropped: IntCounterVec = "peers_dropped_total" ["reason"],
        "Hospitals from which the worker requests no more segments of a block, by reason.";
    peers_put_off: IntCounter = "peers_put_off_total",
        "Requests of other hospitals for segments that the worker answered with busy, because it \
         was serving too many.";
    offers_made: IntCounterVec = "offers_made_total" ["result"],
        "Offers of this hospital's segments to other hospitals, by answer.";
    offers_received: IntCounterVec = "offers_received_total" ["result"],
        "Offers of other hospitals, by result: taken, known, no-room (in the quota), declined, \
         fulfilled, or expired.";
    offered_bytes: IntGaugeVec = "offered_bytes" ["hospital"],
        "Bytes that each other hospital has offered and not announced yet.";
    seeding_seconds: HistogramVec = "seeding_seconds" ["reason"],
        "Seconds that blocks were offered before they were announced, by the reason why the offer \
         ended: majority (enough hospitals store the block), declined (too many declined), quiet \
         (nothing arrived anywhere), or late.";
    finalized_block: IntGauge = "finalized_block", "Newest finalized block of the chain that the worker has seen.";
    processed_block: IntGauge = "processed_block", "Newest finalized block that the worker has processed.";
    queued_visits: IntGauge = "queued_visits", "Acknowledged visits that are not committed yet.";
    jobs: IntGauge = "jobs", "Jobs that are waiting, running or being retried.";
    task_failures: IntCounterVec = "task_failures_total" ["task"],
        "Failed attempts of tasks, by task. Each is retried.";
    node_connected: IntGauge = "node_connected",
        "1 while the hospital's node answers and has every finalized block that the worker has \
         seen.";
    tls_key_matches: IntGauge = "tls_key_matches" from 1,
        "0 while the chain names a TLS key that this worker does not have. 1 before the worker has \
         read the chain, and if a proxy in front of the worker ends TLS.";
    node_behind_blocks: IntGauge = "node_behind_blocks",
        "Finalized blocks that this worker has seen and the node does not have.";
    clock_offset_seconds: IntGauge = "clock_offset_seconds",
        "Seconds by which this machine's clock was ahead of the newest finalized block's time when \
         the worker saw the block.";
    store_writable: IntGauge = "store_writable" from 1, "1 if the storage accepted the last test write.";
    store_lost: IntGauge = "store_lost",
        "1 if another worker has claimed the storage: this worker writes and deletes nothing any more.";
    maintenance_seconds: IntGauge = "maintenance_seconds",
        "Seconds for which the worker has been in maintenance mode, in which it takes no new visits; 0 if it is not.";
    journal_writable: IntGauge = "journal_writable" from 1, "1 if the journal accepted the last test write.";
    quarantined: IntGauge = "quarantined", "Damaged objects in quarantine.";
    scrub_finished_at: IntGauge = "scrub_finished_at",
        "Unix time in seconds at which the last complete scrub ended. 0 before the first.";
    scrub_seconds: IntGauge = "scrub_seconds", "Duration of the last complete scrub in seconds.";
    scrub_checked: IntGauge = "scrub_checked", "Segments that the last complete scrub checked.";
    scrub_missing: IntGauge = "scrub_missing", "Segments that the last complete scrub found missing.";
    scrub_damaged: IntGauge = "scrub_damaged", "Segments that the last complete scrub found damaged.";
    scrub_repaired: IntGauge = "scrub_repaired", "Segments that the last complete scrub repaired.";
    scrub_unrepaired: IntGauge = "scrub_unrepaired", "Segments that the last complete scrub could not repair.";
    scrub_drift: IntGauge = "scrub_drift",
        "Segments and blocks for which the journal differed from the chain at the last complete \
         scrub.";
    scrub_orphans: IntGauge = "scrub_orphans",
        "Stored segments that the journal did not know at the last complete scrub.";
}

impl Metrics {
    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A type that [`metrics!`] can declare.
trait Metric: Collector + Clone + Sized + 'static {
    /// A type without labels gets none.
    fn declared(options: Opts, labels: &[&str]) -> prometheus::Result<Self>;
}

fn register<M: Metric>(
    registry: &Registry,
    options: Opts,
    labels: &[&str],
) -> prometheus::Result<M> {
    let metric = M::declared(options, labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metric for IntCounter {
    fn declared(options: Opts, _: &[&str]) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Metric for IntCounterVec {
    fn declared(options: Opts, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(options, labels)
    }
}

impl Metric for IntGauge {
    fn declared(options: Opts, _: &[&str]) -> prometheus::Result<Self> {
        Self::with_opts(options)
    }
}

impl Metric for IntGaugeVec {
    fn declared(options: Opts, labels: &[&str]) -> prometheus::Result<Self> {
        Self::new(options, labels)
    }
}

/// Every histogram is of seconds.
impl Metric for HistogramVec {
    fn declared(options: Opts, labels: &[&str]) -> prometheus::Result<Self> {
        let buckets = vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];
        Self::new(HistogramOpts::from(options).buckets(buckets), labels)
    }
}

#[cfg(test)]
mod monitoring;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_metrics_are_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.visits_acknowledged.inc();
        metrics.requests.with_label_values(&["/v1/visits", "202"]).inc();
        let text = metrics.render().unwrap();
        assert!(text.contains("epione_worker_visits_acknowledged_total 1"), "{text}");
        assert!(text.contains("route=\"/v1/visits\",status=\"202\""), "{text}");
    }
}
