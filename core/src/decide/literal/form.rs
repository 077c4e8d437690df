//! The forms of credentials.

use super::bytes::{LONGEST, base64, dotted, from_base64, hex, run, url_safe, word};
use super::marks;
use super::placeholder::{is_placeholder, is_random, is_reference};
use std::ops::Range;

/// What a credential looks like, and where its secret part is.
pub(super) type Found = (&'static str, Range<usize>);

/// Finds what begins at a place in a text.
type Finder = fn(&[u8], usize) -> Option<Found>;

/// Characters of the secret half of an AWS key.
const AWS_SECRET: usize = 40;

/// Fewest characters of a secret that only its name tells: what generators of passwords make.
const SHORTEST_SECRET: usize = 16;

/// The credential that begins at `at`.
pub(super) fn at(text: &[u8], at: usize, name: &str) -> Option<Found> {
    let first = text[at];
    if first == b':' {
        return in_url(text, at);
    }
    if first == b'-' {
        return private_key(text, at);
    }
    let by_hand: Option<Finder> = match first {
        b'B' | b'b' => Some(|text, at| bearer(text, at).or_else(|| basic(text, at))),
        b'e' => Some(jwt),
        b'S' => Some(sendgrid),
        b's' => Some(sk),
        _ => None,
    };
    let marked = marks::BEGIN[usize::from(first)];
    // Most bytes end here.
    if !marked && by_hand.is_none() && text.len() - at < AWS_SECRET || !begins(text, at) {
        return None;
    }
    let found = if marked { marks::with_mark(text, at) } else { None };
    found.or_else(|| by_hand?(text, at)).or_else(|| aws_secret(text, at, name))
}

/// Whether a word begins at `at`. After a dash or a dot only where that stands alone, as in `${KEY:-value}`: parts of a
/// long word are not read again and again.
fn begins(text: &[u8], at: usize) -> bool {
    let before = |n| at.checked_sub(n).map_or(b' ', |i| text[i]);
    !(word(before(1)) || matches!(before(1), b'-' | b'.') && url_safe(before(2)))
}

/// `sk-...` of OpenAI, Anthropic and many like them. Long names of other things begin so too: a key has a long part
/// without dashes, of letters both large and small and of digits, or is hexadecimal.
fn sk(text: &[u8], at: usize) -> Option<Found> {
    let begin = at + 3;
    if !text[at..].starts_with(b"sk-") {
        return None;
    }
    let length = run(text, begin, url_safe);
    let key = &text[begin..begin + length];
    let of_langfuse = key.strip_prefix(b"lf-").is_some_and(is_uuid);
    let is_key = (20..=LONGEST).contains(&length)
        && (of_langfuse || parts(key).any(|part| is_mixed(part) || is_hexadecimal(part)));
    let what = match key {
        [b'a', b'n', b't', b'-', ..] => "an Anthropic key",
        [b'o', b'r', b'-', ..] => "an OpenRouter key",
        _ if of_langfuse => "a Langfuse key",
        _ => "an OpenAI key",
    };
    (is_key && is_random(key)).then_some((what, at..begin + length))
}

/// `SG.` and two parts.
fn sendgrid(text: &[u8], at: usize) -> Option<Found> {
    const PARTS: (usize, usize) = (22, 43);
    let (id, key) = (at + 3, at + 3 + PARTS.0 + 1);
    let is_key = text[at..].starts_with(b"SG.")
        && run(text, id, url_safe) == PARTS.0
        && text.get(key - 1) == Some(&b'.')
        && run(text, key, url_safe) == PARTS.1;
    let end = key + PARTS.1;
    (is_key && is_random(&text[key..end])).then_some(("a SendGrid key", at..end))
}

/// What stands between dashes, dots and the like.
fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| matches!(b, b'-' | b'_' | b'.'))
}

/// Whether it is long and of letters both large and small and of digits, as no word is.
fn is_mixed(part: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| part.iter().any(of);
    part.len() >= 16 && has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

/// Whether so much is in parts with a digit before a letter, as few words have, that these are no words in a row; with
/// letters both large and small.
fn is_scattered<'t>(parts: impl Iterator<Item = &'t [u8]>) -> bool {
    let odd: Vec<_> = parts.filter(|part| has_digit_before_letter(part)).flatten().collect();
    let has = |of: fn(&u8) -> bool| odd.iter().any(|b| of(b));
    odd.len() >= 16 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

fn has_digit_before_letter(part: &[u8]) -> bool {
    part.windows(2).any(|two| two[0].is_ascii_digit() && two[1].is_ascii_alphabetic())
}

fn is_hexadecimal(part: &[u8]) -> bool {
    part.len() >= 32 && part.iter().all(|b| hex(*b))
}

fn is_uuid(text: &[u8]) -> bool {
    let at = |(i, b): (usize, &u8)| if matches!(i, 8 | 13 | 18 | 23) { *b == b'-' } else { hex(*b) };
    text.len() == 36 && text.iter().enumerate().all(at)
}

/// The secret half of an AWS key: 40 characters like many others, so it counts only beside its name.
fn aws_secret(text: &[u8], at: usize, name: &str) -> Option<Found> {
    let of = |b: u8| b.is_ascii_alphanumeric() || b == b'/' || b == b'+';
    if at > 0 && of(text[at - 1]) {
        return None;
    }
    let end = at.checked_add(AWS_SECRET).filter(|end| *end <= text.len())?;
    // The ends first: nearly everything else differs there.
    if !of(text[end - 1]) || text.get(end).is_some_and(|b| of(*b)) || !text[at..end].iter().all(|b| of(*b)) {
        return None;
    }
    let named = |name: &[u8]| {
        let name: Vec<_> =
            name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
        name.windows(15).any(|w| w == b"secretaccesskey")
    };
    let before = || &text[at.saturating_sub(32)..at];
    let secret = &text[at..end];
    let is_key = (named(name.as_bytes()) || named(before())) && is_random(secret);
    is_key.then_some(("an AWS secret key", at..end))
}

/// A text of no known form that is no word, as the value of something that is called a secret; in an `Authorization`
/// header after a scheme, if it has one.
pub(super) fn named_secret(text: &[u8], name: &str) -> Option<Found> {
    if is_authorization(name) && after_scheme(text, 0, b"basic").is_some() {
        // What that holds was looked at, in base64.
        return None;
    }
    // A line break at its end, as a block of YAML has, or quotes make it no other secret.
    let Range { start, end } = unwrapped(text);
    let scheme = || text[start..end].iter().rposition(|b| *b == b' ').map_or(start, |i| start + i + 1);
    let begin = if is_authorization(name) { scheme() } else { start };
    let secret = &text[begin..end];
    let between = |b: &u8| b"-_.~+/=".contains(b);
    let parts = || secret.split(between);
    let no_word = |part: &[u8]| is_mixed(part) && has_digit_before_letter(part) || is_hexadecimal(part);
    let is_secret = (SHORTEST_SECRET..=LONGEST).contains(&secret.len())
        && secret.iter().all(|b| b.is_ascii_alphanumeric() || between(b))
        && (is_authorization(name) || is_name_of_secret(name))
        && (is_uuid(secret) || parts().any(no_word) || is_scattered(parts()))
        && is_random(secret);
    is_secret.then_some(("a secret, as its name says", begin..end))
}

/// What is left without blanks, quotes and the end of a statement at either end.
fn unwrapped(text: &[u8]) -> Range<usize> {
    let around = |b: &u8| b.is_ascii_whitespace() || b"\"'`;,".contains(b);
    let start = text.iter().position(|b| !around(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !around(b)).map_or(start, |last| last + 1);
    start..end
}

/// The two headers of HTTP in which a client says who it is.
fn is_authorization(name: &str) -> bool {
    ["authorization", "proxy-authorization"].iter().any(|header| name.eq_ignore_ascii_case(header))
}

/// `DB_PASSWORD`, `GITHUB_TOKEN`, `MISTRAL_API_KEY`; not what is public, and not where one is: `TOKEN_FILE`.
fn is_name_of_secret(name: &str) -> bool {
    const LAST: [&str; 6] = ["password", "passwd", "passphrase", "secret", "token", "apikey"];
    const BEFORE_KEY: [&str; 9] =
        ["access", "api", "auth", "encryption", "license", "master", "private", "secret", "signing"];
    let words: Vec<_> = name.split(['_', '-', '.']).map(str::to_ascii_lowercase).collect();
    let is_in = |list: &[&str], word: &String| list.contains(&word.as_str());
    let is_secret = match words.as_slice() {
        [.., before, last] if last == "key" => is_in(&BEFORE_KEY, before),
        [.., last] => is_in(&LAST, last),
        [] => false,
    };
    is_secret && !words.iter().any(|word| is_in(&["public", "publishable"], word))
}

/// Where that begins which follows the name of a scheme of HTTP, in letters of either size, and blanks.
fn after_scheme(text: &[u8], at: usize, scheme: &[u8]) -> Option<usize> {
    let end = at + scheme.len();
    let blanks = run(text, end, |b| b == b' ');
    (blanks > 0 && text.get(at..end)?.eq_ignore_ascii_case(scheme)).then_some(end + blanks)
}

/// `Basic` and a name with a password, in base64.
fn basic(text: &[u8], at: usize) -> Option<Found> {
    let begin = after_scheme(text, at, b"basic")?;
    let length = run(text, begin, base64);
    let pair = from_base64(&text[begin..begin + run(text, begin, |b| base64(b) && b != b'=')])?;
    let colon = pair.iter().position(|b| *b == b':')?;
    let password = &pair[colon + 1..];
    // Few words are text in base64, and none of those has a colon.
    let is_text = std::str::from_utf8(&pair).is_ok_and(|pair| !pair.contains(char::is_control));
    let is_pair = is_text && !password.is_empty() && !is_reference(password) && !is_placeholder(password);
    is_pair.then_some(("a user's name and password", begin..begin + length))
}

/// `Bearer` and a long token. Words in a row are none, even with a number among them.
fn bearer(text: &[u8], at: usize) -> Option<Found> {
    let begin = after_scheme(text, at, b"bearer")?;
    let length = run(text, begin, |b| dotted(b) || matches!(b, b'~' | b'+' | b'/'));
    let token = &text[begin..begin + length];
    // Some have small letters and digits alone.
    let small = |part: &[u8]| part.len() >= 20 && part.iter().filter(|b| b.is_ascii_digit()).count() >= 4;
    let is_long = |part: &[u8]| is_mixed(part) || is_hexadecimal(part) || small(part);
    let is_token = length >= 20
        && (is_uuid(token) || parts(token).any(is_long) || is_scattered(parts(token)))
        && token.iter().any(u8::is_ascii_alphabetic)
        && is_random(token);
    is_token.then_some(("a bearer token", begin..begin + length))
}

/// A JSON Web Token with a signature: three parts in base64url, the first of which is JSON with an algorithm.
fn jwt(text: &[u8], at: usize) -> Option<Found> {
    if !text[at..].starts_with(b"eyJ") {
        return None;
    }
    let header = run(text, at, url_safe);
    let payload_at = at + header + 1;
    if text.get(payload_at - 1) != Some(&b'.') || header > 1024 {
        return None;
    }
    let json: serde_json::Value = serde_json::from_slice(&from_base64(&text[at..at + header])?).ok()?;
    json.get("alg")?.as_str()?;
    let payload = run(text, payload_at, url_safe);
    let signature_at = payload_at + payload + 1;
    if payload < 8 || text.get(signature_at - 1) != Some(&b'.') {
        return None;
    }
    let signature = run(text, signature_at, url_safe);
    let secret = &text[signature_at..signature_at + signature];
    (signature >= 16 && is_random(secret)).then_some(("a JSON Web Token", at..signature_at + signature))
}

/// A private key in PEM, with a part of the key itself.
fn private_key(text: &[u8], at: usize) -> Option<Found> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if !text[at..].starts_with(BEGIN) {
        return None;
    }
    let label = at + BEGIN.len();
    let length = run(text, label, |b| b.is_ascii_uppercase() || b == b' ' || b.is_ascii_digit());
    let is_private = text[label..label + length].windows(11).any(|w| w == b"PRIVATE KEY");
    let begin = label + length + run(text, label + length, |b| b == b'-');
    // In JSON and in shells a line may end in a backslash and an n.
    let body = text[begin..]
        .iter()
        .take(4 * LONGEST)
        .take_while(|b| base64(**b) || b.is_ascii_whitespace() || **b == b'\\')
        .count();
    let key = text[begin..begin + body].iter().filter(|b| base64(**b)).count();
    (is_private && key >= 40).then_some(("a private key", begin..begin + body))
}

/// A URL with a password, at the colon of its scheme.
fn in_url(text: &[u8], colon: usize) -> Option<Found> {
    if !text[colon..].starts_with(b"://") || colon == 0 || !text[colon - 1].is_ascii_alphanumeric() {
        return None;
    }
    let begin = colon + 3;
    let ends = |b: u8| {
        b.is_ascii_whitespace() || matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b',')
    };
    let length = run(text, begin, |b| !ends(b)).min(512);
    let authority = &text[begin..begin + length];
    let at = authority.iter().rposition(|b| *b == b'@')?;
    let user = authority[..at].iter().position(|b| *b == b':')?;
    let password = &authority[user + 1..at];
    // `docker://image:tag@sha256:...` has the same form.
    let is_digest = authority[at + 1..].starts_with(b"sha256:");
    // What looks for URLs with passwords has their form too.
    let is_pattern =
        [br"[^", br".*", br"\S", br"\w"].iter().any(|sign| authority.windows(2).any(|w| w == *sign));
    if password.is_empty() || is_digest || is_pattern || is_reference(password) || is_placeholder(password) {
        return None;
    }
    Some(("a URL with a password", begin + user + 1..begin + at))
}
