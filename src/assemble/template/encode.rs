//! Encodings, digests, and the two texts that are made of a user and a password.

use std::fmt::Write as _;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, Engine as _};
use hmac::{HmacReset, KeyInit as _, Mac as _};
use sha2::digest::FixedOutputReset;
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

use super::given::{Answer, Given, Outcome, Refusal};
use super::json::quoted;
use super::words::Entry;

/// Either padding, as people paste both.
const URL_EITHER: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// bcrypt has an alphabet of its own.
const BCRYPT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new().with_encode_padding(false),
);
/// bcrypt passes over the rest.
const MAX_PASSWORD: usize = 72;
const MIN_COST: usize = 5;
const MAX_COST: usize = 14;
const DEFAULT_COST: usize = 10;
/// What bcrypt takes at [`MIN_COST`], in steps of a template; it doubles with each.
const BCRYPT_FUEL: u64 = 500;

pub(super) const WORDS: &[Entry] = &[
    Entry::filter("b64encode", "base64, also of binary", |g| {
        Ok(STANDARD.encode(g.bytes(0)?).into())
    }),
    Entry::filter(
        "b64decode",
        "what base64 holds, also binary; anything else is an error",
        |g| {
            decode(
                g,
                &STANDARD,
                "base64; for the alphabet with `-` and `_` there is `b64url_decode`",
            )
        },
    ),
    Entry::filter("b64url_encode", "base64 with `-` and `_`, padded", |g| {
        Ok(URL_SAFE.encode(g.bytes(0)?).into())
    }),
    Entry::filter("b64url_decode", "what that holds, padded or not", |g| {
        decode(g, &URL_EITHER, "base64 of the URL alphabet")
    }),
    Entry::filter(
        "urlencode",
        "for every part of a URL; a space is `%20`",
        |g| Ok(percent(&g.bytes(0)?, "%20").into()),
    ),
    Entry::filter(
        "urlencode_plus",
        "for a form or query; a space is `+`",
        |g| Ok(percent(&g.bytes(0)?, "+").into()),
    ),
    Entry::filter("urldecode", "what `urlencode` was given", |g| {
        unpercent(&g.text(0)?).map(Answer::Bytes)
    }),
    Entry::filter("sha256", "SHA-256, in hexadecimal digits", |g| {
        Ok(digest::<Sha256>(&g.bytes(0)?).into())
    }),
    Entry::filter("sha512", "SHA-512, in hexadecimal digits", |g| {
        Ok(digest::<Sha512>(&g.bytes(0)?).into())
    }),
    Entry::filter(
        "hmac_sha256(key)",
        "HMAC-SHA-256, in hexadecimal digits",
        |g| {
            let mac = HmacReset::<Sha256>::new_from_slice(&g.bytes(1)?);
            let mut mac = Box::new(mac.expect("HMAC takes keys of every length"));
            mac.update(&g.bytes(0)?);
            Ok(hex(&mac.finalize_reset().into_bytes()).into())
        },
    ),
    Entry::function(
        "htpasswd(user, password, salt=\"\", cost=10)",
        "a line of an htpasswd file, by bcrypt; the same password of the same user gives the same line",
        htpasswd,
    ),
    Entry::function(
        "dockerconfigjson(registry, username, password, email=\"\")",
        "the content of `.dockerconfigjson`",
        dockerconfigjson,
    ),
];

/// It holds the end of what it was given: on the heap that is wiped, on the stack it would stay.
fn digest<D: Digest + FixedOutputReset>(bytes: &[u8]) -> String {
    let mut digest = Box::new(D::new());
    Digest::update(&mut *digest, bytes);
    hex(&digest.finalize_reset())
}

/// As Go does, line breaks are passed over, and nothing else.
fn decode(g: &Given<'_>, engine: &GeneralPurpose, what: &str) -> Outcome {
    let mut text = g.bytes(0)?.into_owned();
    text.retain(|byte| !matches!(byte, b'\r' | b'\n'));
    engine
        .decode(text)
        .map(Answer::Bytes)
        .map_err(|_| Refusal::new(format!("it is not {what}")))
}

/// Everything but RFC 3986's unreserved characters.
fn percent(bytes: &[u8], space: &str) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            b' ' => text.push_str(space),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn unpercent(text: &str) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(Refusal::new("it has a `%` without two hexadecimal digits"));
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The salt comes from the user, not from chance: a line that is new at each render would be written at each refresh.
/// Nor does it come from the password, because a salt stands in the open, and a plain hash of the password there could
/// be guessed against millions of times faster than bcrypt allows. What is lost: the same user with the same password
/// in two files has the same line, which `salt` sets apart, and a password that comes back has its old line.
fn htpasswd(g: &Given<'_>) -> Outcome {
    let (user, password) = (g.text(0)?, g.bytes(1)?);
    let more = g.text_or(2, "")?;
    let cost = g.count(3, DEFAULT_COST, MAX_COST)?;
    if user.is_empty() || user.contains([':', '\r', '\n']) {
        let fact = "`user` must not be empty, and hold neither `:` nor a line break";
        return Err(Refusal::new(fact));
    }
    if password.len() > MAX_PASSWORD {
        let fact = "`password` has more than 72 bytes, and bcrypt passes over the rest";
        return Err(Refusal::new(fact));
    }
    if password.contains(&0) {
        return Err(Refusal::new(
            "`password` holds a zero byte, where bcrypt ends",
        ));
    }
    if cost < MIN_COST {
        return Err(Refusal::new(format!("`cost` must be at least {MIN_COST}")));
    }
    g.charge(BCRYPT_FUEL << (cost - MIN_COST))?;
    let mut salt = Sha256::new();
    salt.update(b"secretsyncd htpasswd\0");
    salt.update((user.len() as u64).to_be_bytes());
    salt.update(user.as_bytes());
    salt.update(more.as_bytes());
    let digest: [u8; 32] = salt.finalize().into();
    let mut salt = [0; 16];
    salt.copy_from_slice(&digest[..16]);
    let hash = bcrypt_text(cost, salt, &password);
    Ok(format!("{user}:{hash}").into())
}

/// As `htpasswd -B` writes it. The hash's last byte is not part of the text: so the original did.
fn bcrypt_text(cost: usize, salt: [u8; 16], password: &[u8]) -> String {
    let rounds = u32::try_from(cost).unwrap_or(u32::MAX);
    let mut ended = Zeroizing::new(password.to_vec());
    ended.push(0);
    ended.truncate(MAX_PASSWORD);
    let hash = bcrypt::bcrypt(rounds, salt, &ended);
    let (salt, hash) = (BCRYPT.encode(salt), BCRYPT.encode(&hash[..23]));
    format!("$2y${cost:02}${salt}{hash}")
}

fn dockerconfigjson(g: &Given<'_>) -> Outcome {
    let (registry, username, password) = (g.text(0)?, g.text(1)?, g.text(2)?);
    let email = g.text_or(3, "")?;
    if registry.is_empty() {
        return Err(Refusal::new("`registry` is empty"));
    }
    if username.contains(':') {
        return Err(Refusal::new(
            "`username` holds a `:`, where the password would begin",
        ));
    }
    let auth = STANDARD.encode(format!("{username}:{password}"));
    let email = if email.is_empty() {
        String::new()
    } else {
        format!(r#""email":{},"#, quoted(&email))
    };
    Ok(format!(
        r#"{{"auths":{{{}:{{"username":{},"password":{},{email}"auth":{}}}}}}}"#,
        quoted(&registry),
        quoted(&username),
        quoted(&password),
        quoted(&auth)
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcrypt_is_that_of_others() {
        // A vector of OpenBSD's, under the newer of two names for the same.
        let mut salt = [0x10, 0x41, 0x04].repeat(6);
        salt.truncate(16);
        assert_eq!(
            bcrypt_text(5, salt.try_into().unwrap(), b"U*U"),
            "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
        );
    }
}
