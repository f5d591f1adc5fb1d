//! One value as sops encrypts it: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`, with AES-256-GCM and a
//! nonce of 32 bytes. The path of the value is authenticated with it.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

type Cipher = AesGcm<Aes256, U32>;

/// How encrypted values begin.
const BEGINNING: &str = "ENC[AES256_GCM,";

/// Whether a text has the form of an encrypted value.
pub(super) fn is_encrypted(text: &str) -> bool {
    text.starts_with(BEGINNING) && text.ends_with(']')
}

/// Whether a text is an encrypted comment: where sops makes JSON of YAML, those inside a list become
/// items of it.
pub(super) fn is_comment(text: &str) -> bool {
    is_encrypted(text) && text.ends_with(",type:comment]")
}

/// The value in the clear, with its type, and its bytes, which the checksum is over.
pub(super) fn decrypt(text: &str, key: &[u8; 32], path: &str) -> Result<(Value, Vec<u8>), &'static str> {
    const FORM: &str = "is not a value that sops encrypted";
    let inside = text.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(']')).ok_or(FORM)?;
    let part = |name: &str| {
        inside.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix(':')).ok_or(FORM)
    };
    let bytes = |name: &str| STANDARD.decode(part(name)?).map_err(|_| FORM);
    let (mut data, nonce, tag) = (bytes("data")?, bytes("iv")?, bytes("tag")?);
    if nonce.len() != 32 || tag.len() != 16 {
        return Err(FORM);
    }
    Cipher::new(GenericArray::from_slice(key))
        .decrypt_in_place_detached(
            GenericArray::from_slice(&nonce),
            path.as_bytes(),
            &mut data,
            GenericArray::from_slice(&tag),
        )
        .map_err(|_| "was changed, or moved, after it was encrypted")?;
    Ok((typed(&data, part("type")?)?, data))
}

/// A value as sops writes it, sealed to its path. The error says why it cannot be.
pub(super) fn encrypt(value: &Value, key: &[u8; 32], path: &str) -> Result<String, String> {
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        _ => "str",
    };
    let failed = || format!("{path} cannot be encrypted");
    let mut data = bytes(value).ok_or_else(failed)?;
    let mut nonce = [0; 32];
    SystemRandom::new().fill(&mut nonce).map_err(|_| "there is no randomness to be had".to_owned())?;
    let tag = Cipher::new(GenericArray::from_slice(key))
        .encrypt_in_place_detached(GenericArray::from_slice(&nonce), path.as_bytes(), &mut data)
        .map_err(|_| failed())?;
    let [data, nonce, tag] = [data.as_slice(), &nonce, tag.as_slice()].map(|part| STANDARD.encode(part));
    Ok(format!("{BEGINNING}data:{data},iv:{nonce},tag:{tag},type:{kind}]"))
}

fn typed(data: &[u8], kind: &str) -> Result<Value, &'static str> {
    const KIND: &str = "is not of the type that it says";
    let text = String::from_utf8_lossy(data);
    match kind {
        "str" | "bytes" | "time" | "comment" => Ok(text.into_owned().into()),
        "int" => text.parse::<i64>().map(Value::from).map_err(|_| KIND),
        // JSON tells no whole number from others, and sops then calls all floats.
        "float" => match text.parse::<i64>() {
            Ok(whole) => Ok(whole.into()),
            Err(_) => text.parse::<f64>().map(Value::from).map_err(|_| KIND),
        },
        "bool" => Ok(text.eq_ignore_ascii_case("true").into()),
        _ => Err("is of a type that is not known"),
    }
}

/// The bytes of a value in the clear, as the checksum is over them; `None` for what it leaves out.
pub(super) fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Bool(true) => Some(b"True".to_vec()),
        Value::Bool(false) => Some(b"False".to_vec()),
        // Never with an exponent.
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float}").into_bytes(),
            _ => number.to_string().into_bytes(),
        }),
        _ => None,
    }
}
