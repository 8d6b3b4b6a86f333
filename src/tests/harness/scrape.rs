//! A server's metrics as Prometheus reads them.

use reqwest::Method;

use super::Peer;

/// One scrape: its text.
pub struct Scrape(pub String);

impl Scrape {
    pub async fn of(peer: &Peer) -> Self {
        let answer = peer.admin(Method::GET, "/metrics/prometheus", None).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
        Self(answer.text)
    }

    /// The labels and values of one metric's samples.
    pub fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter(|line| !line.starts_with('#')).filter_map(move |line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, labels) = series.split_once('{').unwrap_or((series, ""));
            (found == name).then(|| (labels, value.parse().unwrap()))
        })
    }

    /// The sum over every series with these labels, `a="b"` each; none is a failure.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let mut found = self.samples(name).filter(|(of, _)| labels.iter().all(|l| of.contains(l))).peekable();
        assert!(found.peek().is_some(), "no series {name} with {labels:?}");
        found.map(|(_, value)| value).sum()
    }

    /// The same; a series that there is not has counted nothing.
    pub fn count(&self, name: &str, labels: &[&str]) -> f64 {
        self.samples(name).filter(|(of, _)| labels.iter().all(|l| of.contains(l))).map(|(_, value)| value).sum()
    }

    /// The value of one series, written with all of its labels.
    pub fn series(&self, series: &str) -> f64 {
        let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(of).unwrap_or_else(|| panic!("no {series}"))
    }
}
