//! Bytes in, bytes out: keys, seals, signatures and hashes. No word of OAuth, no IO, no randomness of its own.
