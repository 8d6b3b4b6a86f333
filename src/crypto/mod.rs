//! Bytes in, bytes out: keys, seals, signatures and hashes. No word of OAuth and no IO. Salts come in as arguments;
//! the one exception is [`jwk::generate`], where the crypto library draws the key itself.

pub mod hydra;
pub mod jose;
pub mod jwk;
pub mod seal;
pub mod secret_hash;
