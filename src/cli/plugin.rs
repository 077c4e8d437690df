//! Under which name this program was started: its own, or as a plugin of kubectl.
//!
//! kubectl runs `kubectl-perpro` for `kubectl perpro`, and `kubectl_complete-perpro` to complete it.

use std::ffi::OsStr;
use std::path::Path;

/// What the program is to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `perpro`.
    Program,
    /// `kubectl perpro`.
    Plugin,
    /// kubectl asks what a word may become.
    Completer,
}

impl Role {
    /// By the name in `argv[0]`.
    pub(super) fn of(argv0: Option<&OsStr>) -> Self {
        match argv0.map(Path::new).and_then(Path::file_name).and_then(OsStr::to_str) {
            Some("kubectl-perpro") => Self::Plugin,
            Some("kubectl_complete-perpro") => Self::Completer,
            _ => Self::Program,
        }
    }

    /// How a person calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Program => "perpro",
            Self::Plugin | Self::Completer => "kubectl perpro",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/usr/bin/perpro", Role::Program)]
    #[case("perpro-0.1.0", Role::Program)]
    #[case("kubectl-perpro", Role::Plugin)]
    #[case("/home/jane/.krew/bin/kubectl-perpro", Role::Plugin)]
    #[case("/usr/bin/kubectl_complete-perpro", Role::Completer)]
    fn a_link_says_who_calls(#[case] argv0: &str, #[case] expected: Role) {
        assert_eq!(Role::of(Some(OsStr::new(argv0))), expected);
    }
}
