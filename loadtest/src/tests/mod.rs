//! Tests of the whole: every scenario against a made-up server, which writes down what it is asked.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

mod fake;
mod k6;
mod readme;
mod requests;
