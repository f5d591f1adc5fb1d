//! The data key of a sops file, from the age key of the user: X25519 recipients of the age format, v1
//! (age-encryption.org/v1).
//!
//! The age crate would bring 180 others for this one kind of recipient; the primitives are the TLS
//! library's.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use serde_json::Value;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::env;

const NO_KEY: &str =
    "is encrypted, and there is no key for it: set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE, or install sops";
const DAMAGED: &str = "has an age header in its sops stanza that cannot be read";

/// The key of the values: the first that one of the user's age keys opens.
pub(super) fn data_key(stanza: &Value) -> Result<[u8; 32], String> {
    let recipients = stanza["age"].as_array().map(Vec::as_slice).unwrap_or_default();
    if recipients.is_empty() {
        return Err(
            "is encrypted with another kind of key than age; install sops, which knows them".to_owned()
        );
    }
    let keys = identities()?;
    if keys.is_empty() {
        return Err(NO_KEY.to_owned());
    }
    for recipient in recipients {
        let file = armored(recipient["enc"].as_str().unwrap_or_default()).ok_or(DAMAGED)?;
        for key in &keys {
            if let Some(opened) = open(&file, key)? {
                return opened.try_into().map_err(|_| "has a data key that is not of 32 bytes".to_owned());
            }
        }
    }
    Err("is encrypted for other age keys than those of SOPS_AGE_KEY and SOPS_AGE_KEY_FILE".to_owned())
}

/// The user's keys.
fn identities() -> Result<Vec<StaticSecret>, String> {
    let mut text = env::get(env::SOPS_AGE_KEY).unwrap_or_default();
    if let Some(file) = env::get(env::SOPS_AGE_KEY_FILE) {
        let more = std::fs::read_to_string(&file).map_err(|error| {
            format!("is encrypted, and {}={file} cannot be read: {error}", env::SOPS_AGE_KEY_FILE)
        })?;
        text.push('\n');
        text.push_str(&more);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (prefix, bytes) =
                bech32::decode(line).map_err(|_| "SOPS_AGE_KEY holds a line that is no age key")?;
            let bytes: [u8; 32] =
                bytes.try_into().map_err(|_| "SOPS_AGE_KEY holds a key of a wrong length")?;
            if prefix.as_str().eq_ignore_ascii_case("age-secret-key-") {
                Ok(StaticSecret::from(bytes))
            } else {
                Err("SOPS_AGE_KEY holds a key of another kind than AGE-SECRET-KEY-1…".to_owned())
            }
        })
        .collect()
}

/// The bytes of an armored file.
pub(super) fn armored(text: &str) -> Option<Vec<u8>> {
    let inside = text.trim().strip_prefix("-----BEGIN AGE ENCRYPTED FILE-----")?;
    let inside = inside.strip_suffix("-----END AGE ENCRYPTED FILE-----")?;
    STANDARD.decode(inside.split_whitespace().collect::<String>()).ok()
}

/// What is in the file; `None` where it is not for this key.
pub(super) fn open(file: &[u8], secret: &StaticSecret) -> Result<Option<Vec<u8>>, &'static str> {
    let (header, mac, sealed) = parts(file).ok_or(DAMAGED)?;
    let Some(file_key) = stanza_key(header.lines(), secret)? else { return Ok(None) };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&[], &file_key, b"header").ok_or(DAMAGED)?);
    hmac::verify(&key, header.as_bytes(), &mac).map_err(|_| DAMAGED)?;
    payload(sealed, &file_key).map(Some).ok_or(DAMAGED)
}

/// The header as its checksum is over it, the checksum, and the payload.
fn parts(file: &[u8]) -> Option<(&str, Vec<u8>, &[u8])> {
    let end = file.windows(4).position(|window| window == b"\n---")? + 4;
    let line = end + file[end..].iter().position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(&file[..end]).ok()?;
    let mac = STANDARD_NO_PAD.decode(std::str::from_utf8(file.get(end + 1..line)?).ok()?).ok()?;
    header.starts_with("age-encryption.org/v1\n").then_some((header, mac, &file[line + 1..]))
}

/// The file key from the stanza that is for this key.
fn stanza_key<'l>(
    mut lines: impl Iterator<Item = &'l str>,
    secret: &StaticSecret,
) -> Result<Option<Vec<u8>>, &'static str> {
    while let Some(line) = lines.next() {
        let Some(share) = line.strip_prefix("-> X25519 ") else { continue };
        let decoded = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| DAMAGED);
        let share: [u8; 32] = decoded(share)?.try_into().map_err(|_| DAMAGED)?;
        let body = decoded(lines.next().ok_or(DAMAGED)?)?;
        let public = PublicKey::from(secret);
        let shared = secret.diffie_hellman(&PublicKey::from(share));
        let salt = [share.as_slice(), public.as_bytes()].concat();
        let wrap = derive(&salt, shared.as_bytes(), b"age-encryption.org/v1/X25519").ok_or(DAMAGED)?;
        if let Some(key) = unseal(&wrap, [0; 12], body) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// A data key is one short chunk of the payload's stream.
fn payload(payload: &[u8], file_key: &[u8]) -> Option<Vec<u8>> {
    let (nonce, chunk) = payload.split_at_checked(16)?;
    let key = derive(nonce, file_key, b"payload")?;
    let mut counter = [0; 12];
    counter[11] = 1;
    unseal(&key, counter, chunk.to_vec())
}

fn unseal(key: &[u8; 32], nonce: [u8; 12], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
    Some(opened.to_vec())
}

/// HKDF with SHA-256, as age derives its keys.
pub(super) fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    extracted.expand(&[info], hkdf::HKDF_SHA256).ok()?.fill(&mut key).ok()?;
    Some(key)
}
