//! The forms of credentials.

use std::ops::Range;

/// What a credential looks like, and where its secret part is.
type Found = (&'static str, Range<usize>);

/// Most bytes that are read of a credential: nobody makes us read a long text again for each of its bytes.
const LONGEST: usize = 4096;

/// A form that begins with its own mark: most issuers give one, so that leaks are found.
struct Marked {
    mark: &'static str,
    what: &'static str,
    /// Which characters follow.
    of: fn(u8) -> bool,
    /// How many, at least and at most.
    length: (usize, usize),
}

const fn marked(
    mark: &'static str,
    what: &'static str,
    of: fn(u8) -> bool,
    least: usize,
    most: usize,
) -> Marked {
    Marked { mark, what, of, length: (least, most) }
}

/// By their first byte, which is looked at before anything else.
const MARKED: &[Marked] = &[
    marked("AIza", "a Google API key", url_safe, 35, 35),
    marked("AKIA", "an AWS access key", base32, 16, 16),
    marked("ASIA", "an AWS access key", base32, 16, 16),
    marked("dckr_pat_", "a Docker Hub token", url_safe, 27, 40),
    marked("dop_v1_", "a DigitalOcean token", hex, 64, 64),
    marked("ghp_", "a GitHub token", alphanumeric, 36, 255),
    marked("gho_", "a GitHub token", alphanumeric, 36, 255),
    marked("ghu_", "a GitHub token", alphanumeric, 36, 255),
    marked("ghs_", "a GitHub token", word, 36, LONGEST),
    marked("ghr_", "a GitHub token", alphanumeric, 36, 255),
    marked("github_pat_", "a GitHub token", word, 40, 255),
    marked("glpat-", "a GitLab token", dotted, 20, 300),
    marked("gldt-", "a GitLab token", dotted, 20, 300),
    marked("glrt-", "a GitLab token", dotted, 20, 300),
    marked("gsk_", "a Groq key", alphanumeric, 40, 100),
    marked("hf_", "a Hugging Face token", alphanumeric, 30, 100),
    marked("hooks.slack.com/services/", "a Slack webhook", of_a_path, 40, 80),
    marked("hvs.", "a Vault token", url_safe, 24, 300),
    marked("lsv2_pt_", "a LangSmith key", word, 32, 100),
    marked("lsv2_sk_", "a LangSmith key", word, 32, 100),
    marked("npm_", "an npm token", alphanumeric, 36, 36),
    marked("nvapi-", "an NVIDIA key", url_safe, 60, 80),
    marked("pcsk_", "a Pinecone key", word, 50, 100),
    marked("pplx-", "a Perplexity key", alphanumeric, 40, 64),
    marked("pypi-AgEI", "a PyPI token", url_safe, 50, LONGEST),
    marked("r8_", "a Replicate token", alphanumeric, 37, 40),
    marked("rk_live_", "a Stripe key", alphanumeric, 20, 255),
    marked("sk_live_", "a Stripe key", alphanumeric, 20, 255),
    marked("tvly-", "a Tavily key", dashed, 30, 80),
    marked("xai-", "an xAI key", alphanumeric, 60, 120),
    marked("xapp-", "a Slack token", dashed, 30, 255),
    marked("xoxa-", "a Slack token", dashed, 24, 255),
    marked("xoxb-", "a Slack token", dashed, 24, 255),
    marked("xoxe-", "a Slack token", dashed, 24, 255),
    marked("xoxp-", "a Slack token", dashed, 24, 255),
    marked("xoxr-", "a Slack token", dashed, 24, 255),
    marked("xoxs-", "a Slack token", dashed, 24, 255),
];

/// Characters of the secret half of an AWS key.
const AWS_SECRET: usize = 40;

/// The credential that begins at `at`.
pub(super) fn at(text: &[u8], at: usize, name: &str) -> Option<Found> {
    let first = text[at];
    if first == b':' {
        return in_url(text, at);
    }
    if first == b'-' {
        return private_key(text, at);
    }
    // Most bytes end here.
    let marks = matches!(
        first,
        b'A' | b'B'
            | b'b'
            | b'd'
            | b'e'
            | b'g'
            | b'h'
            | b'l'
            | b'n'
            | b'p'
            | b'r'
            | b'S'
            | b's'
            | b't'
            | b'x'
    );
    if !marks && text.len() - at < AWS_SECRET || !begins(text, at) {
        return None;
    }
    let found = match first {
        b'A' | b'd' | b'g' | b'h' | b'l' | b'n' | b'p' | b'r' | b's' | b't' | b'x' => with_mark(text, at),
        b'S' => sendgrid(text, at),
        b'B' | b'b' => bearer(text, at),
        b'e' => jwt(text, at),
        _ => None,
    };
    found.or_else(|| if first == b's' { sk(text, at) } else { None }).or_else(|| aws_secret(text, at, name))
}

/// Whether a word begins at `at`. After a dash or a dot only where that stands alone, as in `${KEY:-value}`: parts of a
/// long word are not read again and again.
fn begins(text: &[u8], at: usize) -> bool {
    let before = |n| at.checked_sub(n).map_or(b' ', |i| text[i]);
    !(word(before(1)) || matches!(before(1), b'-' | b'.') && url_safe(before(2)))
}

fn with_mark(text: &[u8], at: usize) -> Option<Found> {
    let rest = &text[at..];
    let form = MARKED.iter().find(|form| rest.starts_with(form.mark.as_bytes()))?;
    let begin = at + form.mark.len();
    let (least, most) = form.length;
    let length = run(&text[..text.len().min(begin + most + 1)], begin, form.of);
    let secret = &text[begin..begin + length];
    (least <= length && length <= most && is_random(secret)).then_some((form.what, at..begin + length))
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

/// `Bearer` and a long token. Words in a row are none, even with a number among them.
fn bearer(text: &[u8], at: usize) -> Option<Found> {
    const WORD: &[u8] = b"bearer";
    if !text.get(at..at + WORD.len())?.eq_ignore_ascii_case(WORD) {
        return None;
    }
    let blanks = run(text, at + WORD.len(), |b| b == b' ');
    let begin = at + WORD.len() + blanks;
    let length = run(text, begin, |b| dotted(b) || matches!(b, b'~' | b'+' | b'/'));
    let token = &text[begin..begin + length];
    // Some have small letters and digits alone.
    let small = |part: &[u8]| part.len() >= 20 && part.iter().filter(|b| b.is_ascii_digit()).count() >= 4;
    let is_long = |part: &[u8]| is_mixed(part) || is_hexadecimal(part) || small(part);
    let is_token = blanks > 0
        && length >= 20
        && (is_uuid(token) || parts(token).any(is_long))
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
    let json: serde_json::Value = serde_json::from_slice(&base64url(&text[at..at + header])?).ok()?;
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

/// How many bytes from `begin` on are of a kind.
fn run(text: &[u8], begin: usize, of: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(begin..).unwrap_or_default();
    rest.iter().take(LONGEST + 1).take_while(|b| of(**b)).count()
}

fn alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn of_a_path(b: u8) -> bool {
    word(b) || b == b'/'
}

fn dashed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

fn url_safe(b: u8) -> bool {
    word(b) || b == b'-'
}

fn dotted(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

fn base32(b: u8) -> bool {
    b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)
}

fn hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

/// Whether a secret may be a real one: not the same few characters, and none of the words that stand for one.
fn is_random(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    secret.iter().for_each(|b| seen[usize::from(*b)] = true);
    seen.iter().filter(|seen| **seen).count() >= 8 && !is_placeholder(secret)
}

/// Whether something else is put in its place before a container sees it.
fn is_reference(text: &[u8]) -> bool {
    matches!(text, [b'$' | b'{', ..] | [b'%', b's' | b'(', ..])
}

/// Text that stands for a secret in examples.
fn is_placeholder(text: &[u8]) -> bool {
    const WHOLE: [&[u8]; 7] = [b"password", b"passwd", b"pass", b"pwd", b"secret", b"todo", b"token"];
    const PARTS: [&[u8]; 15] = [
        b"xxxx",
        b"****",
        b"....",
        b"your",
        b"example",
        b"placeholder",
        b"changeme",
        b"change-me",
        b"change_me",
        b"redacted",
        b"replaceme",
        b"replace-me",
        b"replace_me",
        b"dummy",
        b"abcdefgh",
    ];
    WHOLE.iter().any(|word| text.eq_ignore_ascii_case(word))
        || is_gap(text)
        || text.iter().all(|b| matches!(b, b'x' | b'X' | b'*' | b'.' | b'-' | b'_'))
        || PARTS.iter().any(|part| text.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part)))
        || text.windows(9).any(|w| w == b"123456789" || w == b"000000000")
}

/// A name that a person or a tool is to replace: `[PASSWORD]`, `__PASSWORD__`, `@@PASSWORD@@`.
fn is_gap(text: &[u8]) -> bool {
    const AROUND: [(&[u8], &[u8]); 3] = [(b"[", b"]"), (b"__", b"__"), (b"@@", b"@@")];
    let name = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
    AROUND.iter().any(|(open, close)| {
        let inside = text.strip_prefix(*open).and_then(|rest| rest.strip_suffix(*close));
        inside.is_some_and(|inside| inside.iter().all(name))
    })
}

/// Base64 of RFC 4648 section 5 without padding.
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for b in text {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
