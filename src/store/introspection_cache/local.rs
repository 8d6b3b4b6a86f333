//! The tier inside the process: a bounded number of answers, in shards so that workers seldom wait for each other.

use super::value::Answer;
use crate::store::AccessKey;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SHARDS: usize = 16;

/// An answer, and until when it may be told: by this process's own clock, which nobody sets.
type Entry = (Arc<Answer>, Instant);
type Shard = LruCache<AccessKey, Entry>;

/// The answers nearest at hand.
pub(super) struct Local(Vec<Mutex<Shard>>);

impl Local {
    /// Room for so many answers; `None` for nought.
    pub(super) fn of(entries: usize) -> Option<Self> {
        let each = NonZeroUsize::new(entries.div_ceil(SHARDS))?;
        Some(Self((0..SHARDS).map(|_| Mutex::new(LruCache::new(each))).collect()))
    }

    /// A key is a hash: any byte of it spreads evenly.
    fn shard(&self, key: &AccessKey) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::from(key.last().copied().unwrap_or_default()) % SHARDS;
        Some(self.0.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer, unless its time is over.
    pub(super) fn get(&self, key: &AccessKey) -> Option<Arc<Answer>> {
        let mut shard = self.shard(key)?;
        let (answer, until) = shard.get(key)?;
        (*until > Instant::now()).then(|| Arc::clone(answer))
    }

    /// Keeps an answer for so long; whether another one had to go for it.
    pub(super) fn put(&self, key: AccessKey, answer: Arc<Answer>, left: Duration) -> bool {
        let gone = self.shard(&key).and_then(|mut shard| shard.push(key, (answer, Instant::now() + left)));
        gone.is_some_and(|(other, _)| other != key)
    }

    /// Forgets an answer; whether it was there.
    pub(super) fn remove(&self, key: &AccessKey) -> bool {
        self.shard(key).is_some_and(|mut shard| shard.pop(key).is_some())
    }

    /// How many answers are kept.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::answer;
    use super::*;

    #[test]
    fn it_holds_so_many_and_forgets_when_told() {
        assert!(Local::of(0).is_none());
        let Some(local) = Local::of(32) else { unreachable!("there is room") };
        let said = Arc::new(answer(1000));
        for n in 0..=255 {
            let another_went = local.put([n; 34], Arc::clone(&said), Duration::from_secs(60));
            assert_eq!(another_went, n >= 32, "{n}");
        }
        assert_eq!((0..=255).filter(|n| local.get(&[*n; 34]).is_some()).count(), 32);
        assert_eq!(local.len(), 32);
        assert!(local.remove(&[255; 34]) && !local.remove(&[255; 34]));
        assert!(local.get(&[255; 34]).is_none() && local.get(&[254; 34]).is_some());
        local.put([254; 34], said, Duration::ZERO);
        assert!(local.get(&[254; 34]).is_none(), "its time is over");
        local.clear();
        assert!(local.get(&[253; 34]).is_none());
    }
}
