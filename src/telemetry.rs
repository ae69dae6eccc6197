//! What operators see: metrics, and the log.
//!
//! This is the only place with names of metrics. Labels are of few values: a source, a rule, a sink, a
//! route, never a person, an address or an id.

mod log;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use self::log::{LogFormat, UnknownFormat, start_logging};

/// Each metric by its name without `gridwatch_`: its type, its labels, and what it means.
macro_rules! metrics {
    ($($name:ident: $type:ty = $make:ident($($argument:expr)?), $help:literal;)*) => {
        /// The metrics of one run of the program. Clones are the same metrics.
        #[derive(Clone)]
        pub struct Metrics {
            registry: Registry,
            $(#[doc = $help] pub $name: $type,)*
        }

        /// The names of all of them, but for those of the process.
        pub const NAMES: &[&str] = &[$(concat!("gridwatch_", stringify!($name)),)*];

        impl Metrics {
            fn registered() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let $name = $make(concat!("gridwatch_", stringify!($name)), $help, $($argument)?)?;
                    registry.register(Box::new($name.clone()))?;
                )*
                Ok(Self { registry, $($name,)* })
            }
        }
    };
}

metrics! {
    events_total: IntCounterVec = counters(&["source"]),
        "Events that joined the log, late ones included.";
    rejects_total: IntCounterVec = counters(&["source", "kind"]),
        "Lines that are no events: malformed, or dated in the future.";
    duplicates_total: IntCounterVec = counters(&["source"]),
        "Events dropped because the log held them already.";
    late_events_total: IntCounterVec = counters(&["source"]),
        "Events that came too late to be judged live, and wait for a repair.";

    watermark_seconds: Gauge = gauge(),
        "Everything dated before this time is judged, in seconds since 1970.";
    admitted_watermark_seconds: Gauge = gauge(),
        "Everything dated before this time is in the log, in seconds since 1970.";
    lag_seconds: Gauge = gauge(),
        "The clock less the time before which everything is judged, in seconds.";
    source_lag_seconds: GaugeVec = gauges(&["source"]),
        "The clock less the time up to which the source is complete, in seconds.";
    source_calls_total: IntCounterVec = counters(&["source", "result"]),
        "Pages that Slack was asked for, by what came of it.";
    gap_open: IntGaugeVec = whole_gauges(&["source"]),
        "1 while the source misses a span of time, else 0.";

    commits_total: IntCounterVec = counters(&["kind"]),
        "Transactions that were made durable: admit, advance or seal.";
    commit_failures_total: IntCounterVec = counters(&["kind"]),
        "Transactions that failed and are tried again: admit, advance or seal.";
    commit_seconds: HistogramVec = durations_by(&["kind"]),
        "How long a transaction took until it was durable, in seconds: admit, advance or seal.";
    evaluation_seconds: Histogram = durations(),
        "How long the rules took over one step of the watermark, in seconds.";
    evaluated_events_total: IntCounter = counter(),
        "Events that the rules have judged.";
    backlog_events: IntGauge = whole_gauge(),
        "Events in the log that are not judged yet.";

    state_bytes: IntGauge = whole_gauge(),
        "Memory that the state of all rules takes, in bytes.";
    tail_events: IntGauge = whole_gauge(),
        "Events in the tail, not sealed into the archive yet.";
    archive_segments: IntGauge = whole_gauge(),
        "Segments in the archive.";
    snapshot_seconds: Histogram = durations(),
        "How long a snapshot of all rules' state took until it was durable, in seconds.";
    snapshot_failures_total: IntCounter = counter(),
        "Snapshots that failed; the one before stays, and a restart takes longer.";

    anomalies_total: IntCounterVec = counters(&["rule", "level"]),
        "Anomalies that were recorded.";
    rule_failed: IntGaugeVec = whole_gauges(&["rule"]),
        "1 while the rule is out of service because it failed.";
    outbox_entries: IntGaugeVec = whole_gauges(&["sink"]),
        "Anomalies or events that the sink has not taken yet.";
    dead_letters: IntGaugeVec = whole_gauges(&["sink"]),
        "Anomalies or events that the sink refused for good.";
    sink_deliveries_total: IntCounterVec = counters(&["sink", "result"]),
        "Deliveries by how they ended: delivered, refused for good, or attempts that failed.";

    http_requests_total: IntCounterVec = counters(&["route", "status"]),
        "Requests that were answered, by route as it is written in the API and by status.";
    http_request_seconds: HistogramVec = durations_by(&["route"]),
        "How long an answer took, in seconds.";
    build_info: IntGaugeVec = whole_gauges(&["version"]),
        "1; the label tells the version of the program.";
}

/// The transactions that `commits_total` and its like tell apart.
const COMMITS: [&str; 3] = ["admit", "advance", "seal"];

/// Bounds of durations, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

impl Metrics {
    /// Metrics of their own registry, all at nought.
    pub fn new() -> Self {
        let metrics = match Self::registered() {
            Ok(metrics) => metrics,
            Err(error) => unreachable!("the table of metrics contradicts itself: {error}"),
        };
        #[cfg(target_os = "linux")]
        metrics.watch_process();
        let version = env!("CARGO_PKG_VERSION");
        metrics.build_info.with_label_values(&[version]).set(1);
        // A rate can be taken only of what was seen at nought.
        for kind in COMMITS {
            metrics.commits_total.with_label_values(&[kind]);
            metrics.commit_failures_total.with_label_values(&[kind]);
            metrics.commit_seconds.with_label_values(&[kind]);
        }
        metrics
    }

    #[cfg(target_os = "linux")]
    fn watch_process(&self) {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        if let Err(error) = self.registry.register(Box::new(process)) {
            tracing::warn!(%error, "metrics of the process are left out");
        }
    }

    /// Tells up to when everything is judged, and what the clock says; both in seconds since 1970.
    pub fn set_watermark(&self, evaluated_seconds: f64, clock_seconds: f64) {
        self.watermark_seconds.set(evaluated_seconds);
        self.lag_seconds.set(clock_seconds - evaluated_seconds);
    }

    /// All metrics as Prometheus reads them.
    pub fn render(&self) -> String {
        let families = self.registry.gather();
        match TextEncoder::new().encode_to_string(&families) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be written");
                String::new()
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn counter(name: &str, help: &str) -> prometheus::Result<IntCounter> {
    IntCounter::new(name, help)
}

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauge(name: &str, help: &str) -> prometheus::Result<Gauge> {
    Gauge::new(name, help)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
    GaugeVec::new(Opts::new(name, help), labels)
}

fn whole_gauge(name: &str, help: &str) -> prometheus::Result<IntGauge> {
    IntGauge::new(name, help)
}

fn whole_gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn durations(name: &str, help: &str) -> prometheus::Result<Histogram> {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
}

fn durations_by(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    HistogramVec::new(options, labels)
}

#[cfg(test)]
mod tests {
    use super::{Metrics, NAMES};

    #[test]
    fn names_keep_to_the_conventions() {
        for name in NAMES {
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.chars().all(is_word), "{name}");
            for ending in ["_count", "_sum", "_bucket", "_ms", "_secs", "_kib"] {
                assert!(!name.ends_with(ending), "{name}");
            }
        }
    }

    #[test]
    fn what_is_told_can_be_read() {
        let metrics = Metrics::new();
        let same = metrics.clone();
        same.events_total.with_label_values(&["push"]).inc_by(3);
        let malformed = ["push", "malformed"];
        same.rejects_total.with_label_values(&malformed).inc();
        same.set_watermark(100.0, 102.5);
        same.evaluation_seconds.observe(0.02);
        let text = metrics.render();
        for line in [
            "gridwatch_events_total{source=\"push\"} 3",
            "gridwatch_rejects_total{kind=\"malformed\",source=\"push\"} 1",
            "gridwatch_watermark_seconds 100",
            "gridwatch_lag_seconds 2.5",
            "gridwatch_evaluation_seconds_bucket{le=\"0.01\"} 0",
            "gridwatch_evaluation_seconds_bucket{le=\"0.025\"} 1",
            "gridwatch_commits_total{kind=\"seal\"} 0",
            "# TYPE gridwatch_commit_seconds histogram",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&version));
    }

    #[test]
    fn runs_do_not_share_metrics() {
        let first = Metrics::new();
        first.evaluated_events_total.inc();
        assert_eq!(Metrics::new().evaluated_events_total.get(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_is_watched() {
        let text = Metrics::new().render();
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
