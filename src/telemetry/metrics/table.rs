//! How a metric is declared: registered, described for `signet metrics list`, and its series found by the places of
//! their label values instead of by text.

use std::cell::RefCell;
use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::telemetry::labels::Label;

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size; its series end in `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word of the exposition's `# TYPE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric as it is told to operators.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub kind: Kind,
    /// What it says, in a line.
    pub help: String,
    /// Its labels.
    pub labels: Vec<Label>,
}

/// The series of a metric by the places of their label values: each is made when it is first used, or at once, and
/// found without a lookup: for hot paths.
pub(super) struct Grid<T> {
    labels: Vec<Label>,
    cells: Vec<OnceLock<T>>,
    make: Make<T>,
}

/// Makes the series with these label values.
type Make<T> = Box<dyn Fn(&[&str]) -> T + Send + Sync>;

impl<T> Grid<T> {
    fn new(labels: &[Label], make: impl Fn(&[&str]) -> T + Send + Sync + 'static) -> Self {
        let size = labels.iter().map(|label| label.values.len()).product();
        Self { labels: labels.to_vec(), cells: (0..size).map(|_| OnceLock::new()).collect(), make: Box::new(make) }
    }

    /// Records into the series at these places, one for each label.
    pub(super) fn with<const N: usize>(&self, places: [usize; N], record: impl FnOnce(&T)) {
        let at = self.labels.iter().zip(places).fold(0, |at, (label, place)| at * label.values.len() + place);
        if let Some(cell) = self.cells.get(at) {
            record(cell.get_or_init(|| (self.make)(&self.values(at))));
        }
    }

    /// The series at these places exists from now on.
    pub(super) fn start<const N: usize>(&self, places: [usize; N]) {
        self.with(places, |_| {});
    }

    /// Every series exists from now on.
    pub(super) fn all(self) -> Self {
        for (at, cell) in self.cells.iter().enumerate() {
            cell.get_or_init(|| (self.make)(&self.values(at)));
        }
        self
    }

    /// The label values of a cell.
    fn values(&self, mut at: usize) -> Vec<&'static str> {
        let mut values: Vec<&'static str> = Vec::with_capacity(self.labels.len());
        for label in self.labels.iter().rev() {
            values.extend(label.values.get(at % label.values.len()).copied());
            at /= label.values.len();
        }
        values.reverse();
        values
    }
}

/// Registers metrics while the table is built; one method per shape.
#[derive(Default)]
pub(super) struct Table {
    registry: Registry,
    described: RefCell<Vec<Described>>,
}

impl Table {
    /// The registry, and every metric by name.
    pub(super) fn finish(self) -> (Registry, Vec<Described>) {
        let mut described = self.described.into_inner();
        described.sort_by(|a, b| a.name.cmp(&b.name));
        (self.registry, described)
    }

    fn add<M: Collector + Clone + 'static>(
        &self,
        metric: M,
        kind: Kind,
        opts: &Opts,
        labels: &[Label],
    ) -> Result<M, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        let fixed = ["app", "version", "hash", "buildTime"].into_iter().filter(|l| opts.const_labels.contains_key(*l));
        let labels = fixed.map(Label::open).chain(labels.iter().copied()).collect();
        let (name, help) = (opts.name.clone(), opts.help.clone());
        self.described.borrow_mut().push(Described { name, kind, help, labels });
        Ok(metric)
    }

    /// A collector that is not ours; all that it has is there at once and has no labels.
    pub(super) fn foreign(&self, collector: impl Collector + 'static) -> Result<(), prometheus::Error> {
        for family in collector.collect() {
            let kind = if family.get_field_type() == MetricType::COUNTER { Kind::Counter } else { Kind::Gauge };
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            self.described.borrow_mut().push(Described { name, kind, help, labels: Vec::new() });
        }
        self.registry.register(Box::new(collector))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?, Kind::Counter, &Opts::new(name, help), &[])
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?, Kind::Gauge, &Opts::new(name, help), &[])
    }

    pub(super) fn seconds_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::new(name, help)?, Kind::Gauge, &Opts::new(name, help), &[])
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(opts)?, Kind::Histogram, &Opts::new(name, help), &[])
    }

    pub(super) fn counter_vec(&self, opts: Opts, labels: &[Label]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(opts.clone(), &names(labels))?, Kind::Counter, &opts, labels)
    }

    pub(super) fn gauge_vec(&self, name: &str, help: &str, labels: &[Label]) -> Result<IntGaugeVec, prometheus::Error> {
        let opts = Opts::new(name, help);
        self.add(IntGaugeVec::new(opts.clone(), &names(labels))?, Kind::Gauge, &opts, labels)
    }

    pub(super) fn seconds_vec(&self, name: &str, help: &str, labels: &[Label]) -> Result<GaugeVec, prometheus::Error> {
        let opts = Opts::new(name, help);
        self.add(GaugeVec::new(opts.clone(), &names(labels))?, Kind::Gauge, &opts, labels)
    }

    pub(super) fn histogram_vec(
        &self,
        opts: Opts,
        buckets: &[f64],
        labels: &[Label],
    ) -> Result<HistogramVec, prometheus::Error> {
        let with_buckets = HistogramOpts::from(opts.clone()).buckets(buckets.to_vec());
        self.add(HistogramVec::new(with_buckets, &names(labels))?, Kind::Histogram, &opts, labels)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[Label],
    ) -> Result<Grid<IntCounter>, prometheus::Error> {
        let series = self.counter_vec(Opts::new(name, help), labels)?;
        Ok(Grid::new(labels, move |values| series.with_label_values(values)))
    }

    pub(super) fn seconds_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[Label],
    ) -> Result<Grid<Counter>, prometheus::Error> {
        let opts = Opts::new(name, help);
        let series = self.add(CounterVec::new(opts.clone(), &names(labels))?, Kind::Counter, &opts, labels)?;
        Ok(Grid::new(labels, move |values| series.with_label_values(values)))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[Label]) -> Result<Grid<IntGauge>, prometheus::Error> {
        let series = self.gauge_vec(name, help, labels)?;
        Ok(Grid::new(labels, move |values| series.with_label_values(values)))
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[Label],
    ) -> Result<Grid<Histogram>, prometheus::Error> {
        let series = self.histogram_vec(Opts::new(name, help), buckets, labels)?;
        Ok(Grid::new(labels, move |values| series.with_label_values(values)))
    }
}

fn names(labels: &[Label]) -> Vec<&'static str> {
    labels.iter().map(|label| label.name).collect()
}
