//! What is counted and measured, for `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The label pairs of one series; the values are constants of this program, never a user's text.
type Labels = Vec<(&'static str, &'static str)>;

/// Upper bounds of the histograms, in seconds; the API server's own stop at 25, and it waits 30 at most.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    reviews: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    /// From the first byte of a body to the answer.
    pub review_seconds: Histogram,
    /// Building alone.
    pub render_seconds: Histogram,
    /// Fetching and unpacking an artifact.
    pub fetch_seconds: Histogram,
    /// Verdicts that were known already.
    pub cache_hits: Counter,
    /// Renders that crashed or ran out of memory.
    pub crashes: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were closed because there were too many.
    pub connections_shed: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// When the certificate in use expires, in seconds since 1970; 0 where unknown.
    pub certificate_expiry: Gauge<f64, AtomicU64>,
    /// Certificates that could not be loaded or renewed.
    pub certificate_errors: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("overlay_webhook"),
            requests: Family::default(),
            reviews: Family::default(),
            refused: Family::default(),
            review_seconds: Histogram::new(SECONDS),
            render_seconds: Histogram::new(SECONDS),
            fetch_seconds: Histogram::new(SECONDS),
            cache_hits: Counter::default(),
            crashes: Counter::default(),
            connections: Gauge::default(),
            connections_shed: Counter::default(),
            handshakes_failed: Counter::default(),
            certificate_expiry: Gauge::default(),
            certificate_errors: Counter::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let help = "Requests for a verdict by protocol";
        registry.register("requests", help, self.requests.clone());
        registry.register("reviews", "Reviews by verdict and its reason", self.reviews.clone());
        registry.register("refused_requests", "Requests that are no review", self.refused.clone());
        let seconds = [
            ("review", "Time to answer a review", &self.review_seconds),
            ("render", "Time to build an overlay", &self.render_seconds),
            ("fetch", "Time to fetch and unpack an artifact", &self.fetch_seconds),
        ];
        for (name, help, histogram) in seconds {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        registry.register("verdict_cache_hits", "Verdicts known already", self.cache_hits.clone());
        let help = "Renders that crashed or ran out of memory";
        registry.register("render_crashes", help, self.crashes.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        let help = "Connections closed because there were too many";
        registry.register("connections_shed", help, self.connections_shed.clone());
        let help = "TLS handshakes that failed or took too long";
        registry.register("handshakes_failed", help, self.handshakes_failed.clone());
        let help = "When the certificate in use expires, since 1970";
        let expiry = self.certificate_expiry.clone();
        registry.register_with_unit("certificate_expiry", help, Unit::Seconds, expiry);
        let help = "Certificates that could not be loaded or renewed";
        registry.register("certificate_errors", help, self.certificate_errors.clone());
    }

    /// Counts a request for a verdict.
    pub fn request(&self, protocol: &'static str) {
        self.requests.get_or_create(&vec![("protocol", protocol)]).inc();
    }

    /// Counts a review: `allowed`, `denied`, `unknown`, and why.
    pub fn review(&self, verdict: &'static str, reason: &'static str) {
        self.reviews.get_or_create(&vec![("verdict", verdict), ("reason", reason)]).inc();
    }

    /// Counts a request that got no verdict.
    pub fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&vec![("reason", reason)]).inc();
    }

    /// The text that a scraper reads.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        let metrics = Metrics::new();
        metrics.review("denied", "build");
        metrics.render_seconds.observe(0.2);
        let text = metrics.text();
        for line in [
            "overlay_webhook_reviews_total{verdict=\"denied\",reason=\"build\"} 1",
            "overlay_webhook_render_seconds_count 1",
            "overlay_webhook_connections 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
