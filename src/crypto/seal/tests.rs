//! Seals, tags and their rotation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

use super::*;
use proptest::prelude::*;

fn secrets(list: &[&str]) -> Secrets {
    Secrets::new(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_hand_written_expand_is_rfc_5869() {
    let (prk, hk) = Hkdf::<Sha256>::extract(Some(KDF_SALT), b"a secret");
    let mut want = [0; 32];
    hk.expand(b"v1|keys", &mut want).unwrap();
    let got: Key = expand(&Zeroizing::new(prk.into()), &[b"v1|", b"keys"]);
    assert_eq!(*got, want);
}

#[test]
fn a_rotated_secret_still_opens_and_says_its_generation() {
    let old = secrets(&["old"]).sealer("keys");
    let both = secrets(&["new", "old"]).sealer("keys");
    let bound = aad("keys", "jwk", b"1");
    let sealed = old.seal(&[7; 32], &bound, b"plain").unwrap();
    let opened = both.open(&bound, &sealed).unwrap();
    assert_eq!((opened.plain.as_slice(), opened.generation), (b"plain".as_slice(), 1));
    let sealed = both.seal(&[7; 32], &bound, b"plain").unwrap();
    assert_eq!(both.open(&bound, &sealed).unwrap().generation, 0);
    assert_eq!(old.open(&bound, &sealed).unwrap_err(), SealError::UnknownKey);
}

#[test]
fn a_replaced_list_reaches_all_that_was_derived_from_it() {
    let list = |secrets: &[&str]| secrets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let ring = secrets(&["old"]);
    let (sealer, macs, bound) = (ring.sealer("keys"), ring.mac_ring("tags").clone(), aad("t", "c", b"1"));
    let (sealed, tag) = (sealer.seal(&[7; 32], &bound, b"plain").unwrap(), macs.tag(&[b"x"]));
    ring.clone().replace(&list(&["new", "old"])).unwrap();
    assert_eq!(sealer.open(&bound, &sealed).unwrap().generation, 1);
    assert_eq!(macs.verify(&[b"x"], &tag), Some(1));
    let fresh = sealer.seal(&[8; 32], &bound, b"plain").unwrap();
    assert_eq!(secrets(&["new"]).sealer("keys").open(&bound, &fresh).unwrap().generation, 0);
    assert_eq!(macs.tag(&[b"x"]), secrets(&["new"]).mac_ring("tags").tag(&[b"x"]));
    assert_eq!(fresh[MARK.0 - 1..][..MARK.1], sealer.marks()[0]);
    assert_eq!(sealed[MARK.0 - 1..][..MARK.1], sealer.marks()[1]);
    assert_eq!(ring.replace(&[]), Err(SecretsError::Empty));
    assert_eq!(ring.replace(&list(&["other", ""])), Err(SecretsError::Blank));
    assert_eq!(sealer.open(&bound, &sealed).unwrap().generation, 1, "a bad list changes nothing");
    ring.replace(&list(&["new"])).unwrap();
    assert_eq!(sealer.open(&bound, &sealed).unwrap_err(), SealError::UnknownKey);
    assert_eq!(ring.sealer("later").marks(), secrets(&["new"]).sealer("later").marks());
}

#[test]
fn a_seal_holds_only_in_its_place() {
    let ring = secrets(&["one"]);
    let sealed = ring.sealer("keys").seal(&[7; 32], &aad("t", "c", b"1"), b"plain").unwrap();
    for moved in [aad("t", "c", b"2"), aad("t", "d", b"1"), aad("tc", "", b"1")] {
        assert_eq!(ring.sealer("keys").open(&moved, &sealed).unwrap_err(), SealError::Tampered);
    }
    assert_eq!(ring.sealer("flow").open(&aad("t", "c", b"1"), &sealed).unwrap_err(), SealError::UnknownKey);
    assert_eq!(sealed.len(), HEAD + 5 + TAG);
    assert_eq!(sealed[0], VERSION);
}

#[test]
fn what_is_sealed_under_a_token_opens_with_that_token_alone() {
    let mine = Sealer::from_key_material(&[7; 32], "replay");
    let sealed = mine.seal(&[1; 32], b"row", b"plain").unwrap();
    assert_eq!(Sealer::from_key_material(&[7; 32], "replay").open(b"row", &sealed).unwrap().plain.as_slice(), b"plain");
    for other in [Sealer::from_key_material(&[8; 32], "replay"), Sealer::from_key_material(&[7; 32], "keys")] {
        assert!(other.open(b"row", &sealed).is_err());
    }
    assert!(secrets(&["one"]).sealer("replay").open(b"row", &sealed).is_err());
}

#[test]
fn every_bit_of_an_envelope_matters() {
    let sealer = secrets(&["one"]).sealer("keys");
    let sealed = sealer.seal(&[7; 32], b"", b"plain").unwrap();
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        assert!(sealer.open(b"", &bad).is_err(), "byte {at}");
        assert!(sealer.open(b"", &sealed[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn tags_know_their_generation_and_their_parts() {
    let old = secrets(&["old"]).mac_ring("code");
    let both = secrets(&["new", "old"]).mac_ring("code");
    let tag = old.tag(&[b"ab", b"c"]);
    assert_eq!(both.verify(&[b"ab", b"c"], &tag), Some(1));
    assert_eq!(both.verify(&[b"ab", b"c"], &both.tag(&[b"ab", b"c"])), Some(0));
    assert_eq!(both.verify(&[b"a", b"bc"], &tag), None);
    assert_eq!(both.verify(&[b"ab", b"c"], &tag[..31]), None);
    assert_eq!(both.verify(&[b"ab", b"c"], b""), None);
    assert_eq!(secrets(&["old"]).mac_ring("token").verify(&[b"ab", b"c"], &tag), None);
}

#[test]
fn secrets_are_never_shown_and_never_empty() {
    assert_eq!(Secrets::new(&[]).unwrap_err(), SecretsError::Empty);
    assert_eq!(Secrets::new(&[String::new()]).unwrap_err(), SecretsError::Blank);
    assert_eq!(format!("{:?}", secrets(&["hush"])), "Secrets(1 hidden)");
}

proptest! {
    #[test]
    fn what_is_sealed_opens(salt: [u8; 32], bound: Vec<u8>, plain: Vec<u8>) {
        let sealer = secrets(&["one"]).sealer("any");
        let sealed = sealer.seal(&salt, &bound, &plain).unwrap();
        let opened = sealer.open(&bound, &sealed).unwrap();
        prop_assert_eq!(opened.plain.as_slice(), plain.as_slice());
    }

    #[test]
    fn garbage_never_opens(bytes: Vec<u8>) {
        prop_assert!(secrets(&["one"]).sealer("any").open(b"", &bytes).is_err());
    }
}
