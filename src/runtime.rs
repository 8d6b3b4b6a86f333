//! Boot order, signals, shutdown order; the system clock and the system entropy.
