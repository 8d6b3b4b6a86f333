//! Every setting: read once, checked as a whole, handed on as plain values.
