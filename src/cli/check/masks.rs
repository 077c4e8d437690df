//! Lines of manifests without the credentials that somebody wrote into them, and where these stand.

use perpro_core::decide::literal::{Literal, find, masked};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// No more of a line is looked at: more than is shown of it and the longest credential that is found.
const LOOKED_AT: usize = 20_000;
/// Shorter credentials, and words that are not much longer, are masked with what stands around them: alone they are part
/// of other words, and names of other things.
const SHORT: usize = 6;
const SHORT_WORD: usize = 12;

/// What of a credential in `value` stands together in a file, whichever way the value is written.
fn pieces<'v>(value: &'v str, literal: &Literal) -> impl Iterator<Item = &'v str> {
    let secret = value.get(literal.secret.clone()).unwrap_or_default();
    let is_word = secret.bytes().all(|b| b.is_ascii_alphabetic());
    let is_short = secret.len() < SHORT || is_word && secret.len() < SHORT_WORD;
    let around = literal.secret.start.saturating_sub(1)..(literal.secret.end + 1).min(value.len());
    value.get(around).filter(|_| is_short).unwrap_or(secret).split_whitespace()
}

/// The line of `text` on which the first credential in `value` begins, which itself begins on line `from`; `None` if it
/// is written there in another way than it reads.
pub(super) fn line_of(text: &str, from: u32, value: &str, name: &str) -> Option<u32> {
    let piece = pieces(value, &find(value, name).next()?).next()?;
    // Folded, a line may hold no more than a word.
    let most = value.split_whitespace().count() + value.matches('\n').count() + 1;
    let lines = (from..).zip(text.lines().skip(from.saturating_sub(1) as usize));
    lines.take(most).find(|(_, line)| line.contains(piece)).map(|(number, _)| number)
}

/// What is masked in each file.
#[derive(Debug, Default)]
pub(super) struct Masks<'a>(HashMap<&'a str, File>);

#[derive(Debug, Default)]
struct File {
    /// Pieces of credentials, as they stand in the file.
    pieces: BTreeSet<String>,
    /// Whether a credential is written in another way than it reads, so that nobody can say where it stands.
    hidden: bool,
}

impl<'a> Masks<'a> {
    /// Masks the credentials in `value`, which `file` with this `text` gives to something called `name`.
    pub(super) fn add(&mut self, file: &'a str, text: &str, value: &str, name: &str) {
        let file = self.0.entry(file).or_default();
        let literals: Vec<_> = find(value, name).collect();
        // The decision found one where there is none here: what to mask is not known.
        file.hidden |= literals.is_empty();
        for piece in literals.iter().flat_map(|literal| pieces(value, literal)) {
            file.hidden |= !text.contains(piece);
            file.pieces.insert(piece.to_owned());
        }
    }

    /// A line of `file` as it can be shown, owned when something in it is masked; `None` for one that can't.
    pub(super) fn line<'l>(&self, file: &str, line: &'l str) -> Option<Cow<'l, str>> {
        let end = line.char_indices().nth(LOOKED_AT).map_or(line.len(), |(at, _)| at);
        let line = &line[..end];
        let file = self.0.get(file);
        if file.is_some_and(|f| f.hidden) {
            return None;
        }
        let mut shown = masked(line);
        for piece in file.iter().flat_map(|f| &f.pieces) {
            if shown.contains(piece) {
                shown = shown.replace(piece, &"*".repeat(piece.chars().count()));
            }
        }
        Some(if shown == line { Cow::Borrowed(line) } else { Cow::Owned(shown) })
    }
}
