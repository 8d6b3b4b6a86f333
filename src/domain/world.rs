//! The only doors to time and chance: rules take both as arguments, so that a test can hold them still.

use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment, in microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the Unix epoch; saturates at the ends of the range.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down: a NumericDate (RFC 7519 §2).
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This moment without its fraction of a second.
    pub const fn whole_second(self) -> Self {
        Self::from_secs(self.secs())
    }

    /// Later by `by`; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `by`; saturates.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to this moment; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As calendar time; moments outside of the calendar's range become the epoch.
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// From calendar time.
    pub fn from_datetime(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
    }

    /// RFC 3339 in UTC with trailing zeros of the fraction cut, as Go prints it.
    pub fn rfc3339(self) -> String {
        self.to_datetime().format(&Rfc3339).unwrap_or_default()
    }

    /// From RFC 3339 text; `None` when it is something else.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from_datetime)
    }
}

/// Where the present moment comes from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The source of random bytes failed. The request must be answered 503: a weak secret is never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes from the operating system")]
pub struct NoEntropy;

/// Where random bytes come from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `out` with random bytes fit for secrets.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source failed; `out` must not be used then.
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy>;
}

impl dyn Entropy {
    /// `N` random bytes.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source failed.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut out = [0; N];
        self.fill(&mut out)?;
        Ok(out)
    }

    /// A random (version 4) UUID.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source failed.
    pub fn uuid(&self) -> Result<uuid::Uuid, NoEntropy> {
        Ok(uuid::Builder::from_random_bytes(self.bytes()?).into_uuid())
    }
}
