//! What stands in a secret's place.

/// Whether a secret may be a real one: not the same few characters, and none of the words that stand for one.
pub(super) fn is_random(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    secret.iter().for_each(|b| seen[usize::from(*b)] = true);
    seen.iter().filter(|seen| **seen).count() >= 8 && !is_placeholder(secret)
}

/// Whether something else is put in its place before a container sees it.
pub(super) fn is_reference(text: &[u8]) -> bool {
    matches!(text, [b'$' | b'{', ..] | [b'%', b's' | b'(', ..])
}

/// Text that stands for a secret in examples.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
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
pub(super) fn is_gap(text: &[u8]) -> bool {
    const AROUND: [(&[u8], &[u8]); 3] = [(b"[", b"]"), (b"__", b"__"), (b"@@", b"@@")];
    let name = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.');
    AROUND.iter().any(|(open, close)| {
        let inside = text.strip_prefix(*open).and_then(|rest| rest.strip_suffix(*close));
        inside.is_some_and(|inside| inside.iter().all(name))
    })
}
