//! Every code, explained: what it means, why the rule exists, how to get past it honestly, and a
//! manifest that earns it beside one that does not.
//!
//! `perpro explain` and docs/reference/codes.md are printed from here. A test compares it with
//! the codes in the sources, another applies every manifest to a real API server.

mod kinds;
mod notices;
mod pods;
mod policies;

use std::fmt;

/// What all examples assume to be there: one namespace, its policy and its identities.
pub const FIXTURE: &str = include_str!("../../../docs/reference/codes/fixture.yaml");

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `AID` and three digits. It never changes meaning.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// What the rule protects, and from what.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Who says it; the first is the one that the example shows.
    pub from: &'static [Source],
    /// How it looks.
    pub example: Example,
}

/// Who says a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// perpro's webhook refuses the object.
    Webhook,
    /// The schema of this kind refuses the object: holds with perpro down too.
    Schema(&'static str),
    /// This ValidatingAdmissionPolicy refuses the request: holds with perpro down too.
    Policy(&'static str),
    /// The webhook lets the object pass with a warning.
    Warning,
    /// The controller withholds a permission, and says so in the identity's status.
    Withheld,
    /// The controller gives a pod no power, and says so in an Event.
    Event,
}

impl Entry {
    /// How bad it is that somebody meant to apply such a thing, from 0 to 10, as scales of vulnerabilities have it: a
    /// way to other people's credentials, one to credentials that nobody listed, a power that nobody gave, missing
    /// answers, and what is only odd.
    #[must_use]
    pub fn severity(&self) -> f32 {
        match self.code {
            "AID003" | "AID004" | "AID013" | "AID014" | "AID017" => 8.5,
            "AID009" | "AID011" | "AID012" | "AID021" | "AID022" | "AID026" | "AID027" | "AID065"
            | "AID068" | "AID096" | "AID097" => 7.5,
            "AID030" | "AID031" | "AID032" | "AID033" | "AID034" | "AID052" => 7.0,
            _ if self.from[0] == Source::Warning => 2.0,
            _ => 5.0,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook => f.write_str("webhook"),
            Self::Schema(kind) => write!(f, "schema of {kind}"),
            Self::Policy(name) => write!(f, "policy {name}"),
            Self::Warning => f.write_str("warning"),
            Self::Withheld => f.write_str("controller, in status.withheldPermissions"),
            Self::Event => f.write_str("controller, in an Event"),
        }
    }
}

/// A manifest that earns the code and its nearest legal neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// Both as YAML.
    Manifests {
        /// Earns the code.
        wrong: &'static str,
        /// Passes.
        right: &'static str,
    },
    /// No single manifest shows it, for this reason.
    None(&'static str),
}

/// The two manifests of a code, from its folder in docs/reference/codes.
macro_rules! manifests {
    ($code:literal) => {
        $crate::catalogue::Example::Manifests {
            wrong: include_str!(concat!("../../../docs/reference/codes/", $code, "/wrong.yaml")),
            right: include_str!(concat!("../../../docs/reference/codes/", $code, "/right.yaml")),
        }
    };
}
use manifests;

/// Every code, in order.
#[must_use]
pub fn all() -> Vec<&'static Entry> {
    let rooms = [pods::ENTRIES, kinds::ENTRIES, policies::ENTRIES, notices::ENTRIES];
    let mut all: Vec<_> = rooms.into_iter().flatten().collect();
    all.sort_by_key(|e| e.code);
    all
}

/// The entry of a code. Case and the letters may be left out: `aid12` and `12` are AID012.
#[must_use]
pub fn find(code: &str) -> Option<&'static Entry> {
    let number = number(code)?;
    all().into_iter().find(|e| e.code == format!("AID{number:03}"))
}

/// Codes that somebody may have meant: one digit off, or else the nearest by number.
#[must_use]
pub fn near(code: &str) -> Vec<&'static str> {
    let Some(number) = number(code) else { return Vec::new() };
    let meant = format!("{number:03}");
    let differs = |e: &Entry| e.code.bytes().skip(3).zip(meant.bytes()).filter(|(a, b)| a != b).count();
    let mut codes: Vec<_> = all();
    codes.sort_by_key(|e| self::number(e.code).unwrap_or_default().abs_diff(number));
    let typos: Vec<_> = codes.iter().filter(|e| differs(e) == 1).collect();
    let near = if typos.is_empty() { codes.iter().collect() } else { typos };
    near.into_iter().take(3).map(|e| e.code).collect()
}

fn number(code: &str) -> Option<u32> {
    let digits = code.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let letters = &code[..code.len() - digits.len()];
    (letters.is_empty() || letters.eq_ignore_ascii_case("aid")).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_code_stands_there_once() {
        let codes: BTreeSet<_> = all().iter().map(|e| e.code).collect();
        assert_eq!(codes.len(), all().len());
    }

    #[test]
    fn a_code_is_found_however_it_is_typed() {
        for typed in ["AID012", "aid012", "12", "aid12", "012"] {
            assert_eq!(find(typed).map(|e| e.code), Some("AID012"), "{typed}");
        }
        for typed in ["", "AID", "AID12x", "FOO012", "AID999", "-12", "\u{e9}12"] {
            assert_eq!(find(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_typo_leads_to_what_was_meant() {
        assert_eq!(near("AID112"), ["AID012"]);
        assert!(near("AID777").contains(&"AID097"), "{:?}", near("AID777"));
        assert_eq!(near("hello"), Vec::<&str>::new());
    }

    #[test]
    fn an_entry_says_all_that_it_should() {
        for entry in all() {
            let Entry { code, title, why, fix, from, example } = entry;
            assert!(title.len() <= 90 && !title.ends_with('.'), "{code}: {title}");
            for text in [why, fix] {
                assert!(text.ends_with('.') && text.len() > 20 && !text.contains("  "), "{code}: {text}");
            }
            assert!(!from.is_empty(), "{code}");
            match example {
                Example::Manifests { wrong, right } => assert!(wrong != right, "{code}"),
                Example::None(reason) => assert!(reason.ends_with('.'), "{code}: {reason}"),
            }
        }
    }
}
