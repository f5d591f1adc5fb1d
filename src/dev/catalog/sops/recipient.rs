//! A data key sealed for an age recipient: the other direction of [`age`](super::age).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use x25519_dalek::{PublicKey, StaticSecret};

use super::age::derive;

/// How wide the lines of an armored file are.
const WIDTH: usize = 64;

/// The recipient's entry in the list `age` of a sops stanza. The error says what is wrong with the recipient.
pub(super) fn entry(recipient: &str, data_key: &[u8; 32]) -> Result<Value, String> {
    let public = public_key(recipient)
        .ok_or_else(|| format!("{recipient:?} is no age recipient, which begins with age1"))?;
    let file = seal(&public, data_key).ok_or("there is no randomness to be had, or the recipient is weak")?;
    Ok(json!({"recipient": recipient, "enc": armored(&file)}))
}

fn public_key(recipient: &str) -> Option<PublicKey> {
    let (prefix, bytes) = bech32::decode(recipient).ok()?;
    let bytes: [u8; 32] = bytes.try_into().ok()?;
    prefix.as_str().eq_ignore_ascii_case("age").then(|| PublicKey::from(bytes))
}

/// A file in age's format with one recipient.
fn seal(public: &PublicKey, data_key: &[u8; 32]) -> Option<Vec<u8>> {
    let (file_key, nonce): ([u8; 16], [u8; 16]) = (random()?, random()?);
    let secret = StaticSecret::from(random::<32>()?);
    let share = PublicKey::from(&secret);
    let shared = secret.diffie_hellman(public);
    // A recipient of low order would make the key known to all.
    if !shared.was_contributory() {
        return None;
    }
    let salt = [share.as_bytes().as_slice(), public.as_bytes()].concat();
    let wrap = derive(&salt, shared.as_bytes(), b"age-encryption.org/v1/X25519")?;
    let wrapped = STANDARD_NO_PAD.encode(encrypt(&wrap, [0; 12], &file_key)?);
    let share = STANDARD_NO_PAD.encode(share.as_bytes());
    let header = format!("age-encryption.org/v1\n-> X25519 {share}\n{wrapped}\n---");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&[], &file_key, b"header")?);
    let mac = STANDARD_NO_PAD.encode(hmac::sign(&key, header.as_bytes()));
    // The key is one short chunk, which is the last.
    let mut counter = [0; 12];
    counter[11] = 1;
    let payload = encrypt(&derive(&nonce, &file_key, b"payload")?, counter, data_key)?;
    Some([format!("{header} {mac}\n").as_bytes(), &nonce, &payload].concat())
}

fn encrypt(key: &[u8; 32], nonce: [u8; 12], clear: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let mut sealed = clear.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).ok()?;
    Some(sealed)
}

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

fn armored(file: &[u8]) -> String {
    let digits = STANDARD.encode(file);
    let mut text = "-----BEGIN AGE ENCRYPTED FILE-----\n".to_owned();
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(WIDTH.min(rest.len()));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END AGE ENCRYPTED FILE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::age;
    use super::*;

    #[test]
    fn what_is_sealed_for_a_key_opens_with_it_alone() {
        let (own, other) = (StaticSecret::from([7; 32]), StaticSecret::from([8; 32]));
        let data_key = [9; 32];
        let file = seal(&PublicKey::from(&own), &data_key).expect("a file");
        assert_eq!(age::open(&file, &own), Ok(Some(data_key.to_vec())));
        assert_eq!(age::open(&file, &other), Ok(None));
        let armored = armored(&file);
        assert!(armored.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(age::armored(&armored), Some(file));
    }

    #[test]
    fn recipients_are_public_keys_of_age() {
        assert!(public_key("age1mllqyqhrkgd5df2lvxz6y4anrapn9qd6tya5j9mkrzn0u2prfcusp5xltn").is_some());
        for wrong in [
            "",
            "age1",
            "AGE-SECRET-KEY-1QQ",
            "ssh-ed25519 AAAA",
            "age1mllqyqhrkgd5df2lvxz6y4anrapn9qd6tya5j9mkrzn0u2prfcusp5xltm",
        ] {
            assert!(entry(wrong, &[0; 32]).is_err(), "{wrong}");
        }
        assert!(seal(&PublicKey::from([0; 32]), &[0; 32]).is_none(), "a weak key");
    }
}
