//! What the worker counts, for Prometheus. No label ever names a person, a record or a segment.

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The worker's counters. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// HTTP requests by route and status.
    pub requests: IntCounterVec,
    /// Seconds until the answer's headers, by route.
    pub request_seconds: HistogramVec,
    pub visits_acknowledged: IntCounter,
    /// By the problem that was answered.
    pub visits_refused: IntCounterVec,
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
    /// Found damaged in the store.
    pub segments_damaged: IntCounter,
    /// Had again from another hospital.
    pub segments_repaired: IntCounter,
    /// Deleted since nothing needed them any more.
    pub segments_collected: IntCounter,
    /// Segments asked of other hospitals, by result.
    pub peer_fetches: IntCounterVec,
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
}

/// Registers metrics under names that begin alike.
struct Registrar(Registry);

impl Registrar {
    fn options(name: &str, help: &str) -> Opts {
        Opts::new(format!("epione_worker_{name}"), help)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Self::options(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        let buckets = vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];
        let options = HistogramOpts::from(Self::options(name, help)).buckets(buckets);
        let histogram = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(histogram.clone()))?;
        Ok(histogram)
    }
}

impl Metrics {
    /// Counters in a registry of their own.
    pub fn new() -> prometheus::Result<Self> {
        let to = Registrar(Registry::new());
        Ok(Self {
            requests: to.counters("requests_total", "HTTP requests", &["route", "status"])?,
            request_seconds: to.seconds("request_seconds", "Time to answer", &["route"])?,
            visits_acknowledged: to.counter("visits_acknowledged_total", "Visits taken in")?,
            visits_refused: to.counters("visits_refused_total", "Visits refused", &["problem"])?,
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
            segments_damaged: to.counter("segments_damaged_total", "Segments found damaged")?,
            segments_repaired: to.counter("segments_repaired_total", "Segments had again")?,
            segments_collected: to.counter("segments_collected_total", "Segments deleted")?,
            peer_fetches: to.counters(
                "peer_fetches_total",
                "Segments asked of other hospitals",
                &["result"],
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
            registry: to.0,
        })
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

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
