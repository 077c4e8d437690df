//! Of which bytes credentials are made.

/// Most bytes that are read of a credential: nobody makes us read a long text again for each of its bytes.
pub(super) const LONGEST: usize = 4096;

/// How many bytes from `begin` on are of a kind.
pub(super) fn run(text: &[u8], begin: usize, of: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(begin..).unwrap_or_default();
    rest.iter().take(LONGEST + 1).take_while(|b| of(**b)).count()
}

pub(super) fn alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

pub(super) fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

pub(super) fn of_a_path(b: u8) -> bool {
    word(b) || b == b'/'
}

pub(super) fn dashed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

pub(super) fn url_safe(b: u8) -> bool {
    word(b) || b == b'-'
}

pub(super) fn dotted(b: u8) -> bool {
    url_safe(b) || b == b'.'
}

pub(super) fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

pub(super) fn base32(b: u8) -> bool {
    b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)
}

pub(super) fn hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

/// Base64 in either alphabet of RFC 4648, without padding.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for b in text {
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
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
