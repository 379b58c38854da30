//! What the worker counts, for Prometheus. No label ever names a person, a record or a segment.

use std::{cell::RefCell, sync::Arc};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// The worker's counters. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    names: Arc<[String]>,
    /// HTTP requests by route and status.
    pub requests: IntCounterVec,
    /// Seconds until the answer's headers, by route.
    pub request_seconds: HistogramVec,
    pub visits_acknowledged: IntCounter,
    /// By the problem that was answered.
    pub visits_refused: IntCounterVec,
    /// Visits whose media are awaited.
    pub uploads_open: IntGauge,
    /// Bytes of media that were received and are not sealed yet.
    pub upload_bytes_held: IntGauge,
    pub grants: IntCounter,
    /// Grants that the chain recorded. Each is then handed out, unless its requester has gone.
    pub receipts: IntCounter,
    /// Grants in whose name the glass was broken.
    pub emergencies: IntCounter,
    /// Refusals by policy, by what became of their record on chain: `recorded`, `beyond-limit` of the
    /// requester's day, `no-patient` to record it for, or `failed`.
    pub refusals: IntCounterVec,
    /// Emergencies on the whole chain that the other hospitals have yet to judge.
    pub reviews_open: IntGauge,
    /// Emergencies on the whole chain that nobody judged in time.
    pub reviews_expired: IntGauge,
    /// Profiles that only an earlier sealing key opens, and that are to be sealed to the current one.
    pub profiles_to_rewrap: IntGauge,
    /// Profiles that stay with an earlier sealing key, since their registrations have ended.
    pub profiles_of_earlier_keys: IntGauge,
    pub announcements: IntCounter,
    pub announcements_failed: IntCounter,
    pub blocks_committed: IntCounter,
    pub approvals: IntCounter,
    /// Blocks of others that this hospital rejected, by reason.
    pub rejections: IntCounterVec,
    pub segments_stored: IntCounter,
    pub segment_bytes_stored: IntCounter,
    pub segments_served: IntCounter,
    pub segment_bytes_served: IntCounter,
    /// Readers sent to the storage itself.
    pub segments_redirected: IntCounter,
    /// Found damaged in the store.
    pub segments_damaged: IntCounter,
    /// Had again from another hospital.
    pub segments_repaired: IntCounter,
    /// Deleted since nothing needed them any more.
    pub segments_collected: IntCounter,
    /// Segments and questions asked of other hospitals, by result.
    pub peer_fetches: IntCounterVec,
    /// Bytes of segments that came from other hospitals: from the block's `announcer`, or from an `other`.
    pub peer_bytes: IntCounterVec,
    /// Hospitals not asked again for the rest of a block, by reason.
    pub peers_dropped: IntCounterVec,
    /// Hospitals that wanted a segment while too many others were being served.
    pub peers_put_off: IntCounter,
    /// Offers of this hospital's segments to others, by answer.
    pub offers_made: IntCounterVec,
    /// Offers of others, by what became of them: `taken`, `known`, `no-room` in the quota, `declined`,
    /// `fulfilled` or `expired`.
    pub offers_received: IntCounterVec,
    /// Bytes that each other hospital offers and has not announced yet.
    pub offered_bytes: IntGaugeVec,
    /// How long blocks were offered before they were announced, by why they were then: a `majority` held
    /// them, too many `declined`, or it was `quiet` or `late`.
    pub seeding_seconds: HistogramVec,
    /// Newest final block of the chain that the worker knows of.
    pub finalised_block: IntGauge,
    /// Newest final block whose events were all acted upon.
    pub processed_block: IntGauge,
    /// Acknowledged visits that are not committed yet.
    pub queued_visits: IntGauge,
    /// Work that is waiting or being tried again.
    pub jobs: IntGauge,
    /// Attempts of tasks that did not succeed, by task. Each is tried again.
    pub task_failures: IntCounterVec,
    /// Whether the hospital's node answers.
    pub node_connected: IntGauge,
    /// Whether the worker has the TLS key that the chain names; 1 until the chain was read, and where
    /// something in front of the worker speaks TLS.
    pub tls_key_matches: IntGauge,
    /// Final blocks by which the node is behind what this worker has seen.
    pub node_behind_blocks: IntGauge,
    /// Seconds by which this machine's clock was ahead of a final block's time when it was seen.
    pub clock_offset_seconds: IntGauge,
    /// Whether the storage took a write the last time it was tried.
    pub store_writable: IntGauge,
    /// Whether the journal did.
    pub journal_writable: IntGauge,
    /// Objects set aside as damaged.
    pub quarantined: IntGauge,
    /// Unix time in seconds at which the last complete scrub ended, and what it found.
    pub scrub_finished_at: IntGauge,
    pub scrub_seconds: IntGauge,
    pub scrub_checked: IntGauge,
    pub scrub_missing: IntGauge,
    pub scrub_damaged: IntGauge,
    pub scrub_repaired: IntGauge,
    pub scrub_unrepaired: IntGauge,
    /// Segments and blocks about which chain and journal disagreed.
    pub scrub_drift: IntGauge,
    /// Stored segments that the journal did not know.
    pub scrub_orphans: IntGauge,
}

/// Registers metrics under names that begin alike.
struct Registrar(Registry, RefCell<Vec<String>>);

impl Registrar {
    fn options(&self, name: &str, help: &str) -> Opts {
        let name = format!("epione_worker_{name}");
        self.1.borrow_mut().push(name.clone());
        Opts::new(name, help)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(self.options(name, help))?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(self.options(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(self.options(name, help))?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(self.options(name, help), labels)?;
        self.0.register(Box::new(gauges.clone()))?;
        Ok(gauges)
    }

    /// A gauge that says something before it is first set.
    fn gauge_from(&self, name: &str, help: &str, value: i64) -> prometheus::Result<IntGauge> {
        let gauge = self.gauge(name, help)?;
        gauge.set(value);
        Ok(gauge)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        let buckets = vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];
        let options = HistogramOpts::from(self.options(name, help)).buckets(buckets);
        let histogram = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }
}

impl Metrics {
    /// Counters in a registry of their own.
    pub fn new() -> prometheus::Result<Self> {
        let to = Registrar(Registry::new(), RefCell::default());
        Ok(Self {
            requests: to.counters("requests_total", "HTTP requests", &["route", "status"])?,
            request_seconds: to.seconds("request_seconds", "Time to answer", &["route"])?,
            visits_acknowledged: to.counter("visits_acknowledged_total", "Visits taken in")?,
            visits_refused: to.counters("visits_refused_total", "Visits refused", &["problem"])?,
            uploads_open: to.gauge("uploads_open", "Visits whose media are awaited")?,
            upload_bytes_held: to.gauge("upload_bytes_held", "Bytes of media not sealed yet")?,
            grants: to.counter("grants_total", "Access grants given")?,
            receipts: to.counter("receipts_total", "Access grants recorded on chain")?,
            emergencies: to.counter("emergencies_total", "Access grants that broke the glass")?,
            refusals: to.counters("refusals_total", "Access refused by policy", &["result"])?,
            reviews_open: to.gauge("reviews_open", "Emergencies to be judged, of all hospitals")?,
            reviews_expired: to.gauge(
                "reviews_expired",
                "Emergencies that nobody judged in time, of all hospitals",
            )?,
            profiles_to_rewrap: to.gauge(
                "profiles_to_rewrap",
                "Profiles to be sealed to the hospital's current key",
            )?,
            profiles_of_earlier_keys: to.gauge(
                "profiles_of_earlier_keys",
                "Profiles of ended registrations that only an earlier key opens",
            )?,
            announcements: to.counter("announcements_total", "Lite blocks announced")?,
            announcements_failed: to.counter(
                "announcements_failed_total",
                "Lite blocks of this hospital that were rejected, expired or not accepted",
            )?,
            blocks_committed: to.counter("blocks_committed_total", "Lite blocks seen committed")?,
            approvals: to.counter("approvals_total", "Lite blocks approved")?,
            rejections: to.counters("rejections_total", "Lite blocks rejected", &["reason"])?,
            segments_stored: to.counter("segments_stored_total", "Segments stored")?,
            segment_bytes_stored: to.counter("segment_bytes_stored_total", "Their bytes")?,
            segments_served: to.counter("segments_served_total", "Segments served")?,
            segment_bytes_served: to.counter("segment_bytes_served_total", "Their bytes")?,
            segments_redirected: to.counter(
                "segments_redirected_total",
                "Readers sent to the storage for a segment",
            )?,
            segments_damaged: to.counter("segments_damaged_total", "Segments found damaged")?,
            segments_repaired: to.counter("segments_repaired_total", "Segments had again")?,
            segments_collected: to.counter("segments_collected_total", "Segments deleted")?,
            peer_fetches: to.counters(
                "peer_fetches_total",
                "Segments asked of other hospitals",
                &["result"],
            )?,
            peer_bytes: to.counters(
                "peer_bytes_total",
                "Bytes of segments had from other hospitals",
                &["from"],
            )?,
            peers_dropped: to.counters(
                "peers_dropped_total",
                "Hospitals not asked again for the rest of a block",
                &["reason"],
            )?,
            peers_put_off: to.counter(
                "peers_put_off_total",
                "Segments that others were told to ask for again later",
            )?,
            offers_made: to.counters("offers_made_total", "Offers to others", &["result"])?,
            offers_received: to.counters(
                "offers_received_total",
                "Offers of others",
                &["result"],
            )?,
            offered_bytes: to.gauges(
                "offered_bytes",
                "Bytes that others offer and have not announced",
                &["hospital"],
            )?,
            seeding_seconds: to.seconds(
                "seeding_seconds",
                "Time that blocks were offered before they were announced",
                &["reason"],
            )?,
            finalised_block: to.gauge("finalised_block", "Newest final block")?,
            processed_block: to.gauge("processed_block", "Newest final block acted upon")?,
            queued_visits: to.gauge("queued_visits", "Visits not committed yet")?,
            jobs: to.gauge("jobs", "Work waiting")?,
            task_failures: to.counters(
                "task_failures_total",
                "Attempts of tasks that did not succeed and are repeated",
                &["task"],
            )?,
            node_connected: to.gauge("node_connected", "1 while the hospital's node answers")?,
            tls_key_matches: {
                let gauge = to.gauge(
                    "tls_key_matches",
                    "0 while the chain names a TLS key that this worker does not have",
                )?;
                gauge.set(1);
                gauge
            },
            node_behind_blocks: to.gauge(
                "node_behind_blocks",
                "Final blocks that this worker has seen and the node does not know",
            )?,
            clock_offset_seconds: to.gauge(
                "clock_offset_seconds",
                "This machine's clock less the time of the newest final block when it was seen",
            )?,
            store_writable: to.gauge_from(
                "store_writable",
                "1 while the storage takes writes",
                1,
            )?,
            journal_writable: to.gauge_from(
                "journal_writable",
                "1 while the journal takes writes",
                1,
            )?,
            quarantined: to.gauge("quarantined", "Damaged objects set aside")?,
            scrub_finished_at: to.gauge(
                "scrub_finished_at",
                "Unix time at which the last complete scrub ended; 0 before the first",
            )?,
            scrub_seconds: to.gauge("scrub_seconds", "Duration of the last complete scrub")?,
            scrub_checked: to.gauge("scrub_checked", "Segments that it looked at")?,
            scrub_missing: to.gauge("scrub_missing", "Segments that it missed")?,
            scrub_damaged: to.gauge("scrub_damaged", "Segments that it found damaged")?,
            scrub_repaired: to.gauge("scrub_repaired", "Segments that it had again")?,
            scrub_unrepaired: to
                .gauge("scrub_unrepaired", "Segments that it could not have again")?,
            scrub_drift: to
                .gauge("scrub_drift", "Disagreements of chain and journal that it found")?,
            scrub_orphans: to
                .gauge("scrub_orphans", "Stored segments that the journal did not know")?,
            names: to.1.into_inner().into(),
            registry: to.0,
        })
    }

    /// The names of all metrics, also of those that nothing was counted in yet.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod monitoring;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.visits_acknowledged.inc();
        metrics.requests.with_label_values(&["/v1/visits", "202"]).inc();
        let text = metrics.render().unwrap();
        assert!(text.contains("epione_worker_visits_acknowledged_total 1"), "{text}");
        assert!(text.contains("route=\"/v1/visits\",status=\"202\""), "{text}");
    }
}
