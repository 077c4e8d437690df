//! Credentials that somebody wrote into a pod: in a variable, an argument, a command, a probe, a hook.
//!
//! Found by the form that their issuers give them, or as what no word looks like beside a name that says secret, so that
//! there are few false alarms. What is found is told by its kind and its place; the text itself leaves this module only
//! masked.

mod bytes;
mod form;
mod handlers;
mod marks;
mod placeholder;

use super::container::ContainerView;
use super::credentials::env_paths;
use super::pod::AgentPod;
use super::refusal::{Reason, Refusal};
use std::ops::Range;

/// Most that are told of one pod: a small one can hold very many.
const TOLD: usize = 50;

/// Shorter text holds none.
const SHORTEST: usize = 7;

/// What is written over a credential.
const MASK: char = '*';

/// A credential in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// What it looks like.
    pub what: &'static str,
    /// Which bytes of the text are secret.
    pub secret: Range<usize>,
}

/// Every literal credential of the pod's containers.
#[must_use]
pub(super) fn literals(pod: &AgentPod) -> Vec<Refusal> {
    pod.containers().iter().flat_map(in_container).take(TOLD).collect()
}

fn in_container<'a>(container: &'a ContainerView<'_>) -> impl Iterator<Item = Refusal> + 'a {
    let path = env_paths(container);
    let env = container.env.iter().enumerate().filter_map(move |(at, env)| {
        let found = first(env.value.as_deref()?, &env.name)?;
        Some((path(at) + ".value", found, false))
    });
    let words = [("command", container.command), ("args", container.args)];
    let words = words.into_iter().flat_map(move |(list, words)| {
        words.iter().enumerate().filter_map(move |(i, word)| {
            Some((format!("{}.{list}[{i}]", container.path), first(word, "")?, false))
        })
    });
    let said = handlers::texts(container).into_iter();
    let said = said.filter_map(|said| Some((said.path, first(said.text, said.name)?, said.is_sent)));
    env.chain(words).chain(said).map(move |(path, what, is_sent)| {
        let container = container.name.to_owned();
        Refusal::at(path, Reason::LiteralCredential { container, what, is_sent })
    })
}

fn first(text: &str, name: &str) -> Option<&'static str> {
    find(text, name).next().map(|literal| literal.what)
}

/// The credentials in `text`, which is the value of something called `name`.
pub fn find<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Literal> + 'a {
    let mut of_known_form = of_known_form(text, name).peekable();
    let whole = of_known_form.peek().is_none().then(|| form::named_secret(text.as_bytes(), name)).flatten();
    of_known_form.chain(whole.map(|(what, secret)| Literal { what, secret }))
}

fn of_known_form<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Literal> + 'a {
    let bytes = text.as_bytes();
    let mut at = if bytes.len() < SHORTEST { bytes.len() } else { 0 };
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let here = at;
            at += 1;
            if let Some((what, secret)) = form::at(bytes, here, name) {
                at = secret.end.max(at);
                return Some(Literal { what, secret });
            }
        }
        None
    })
}

/// `text` with its credentials masked, as long as it was.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for Literal { secret, .. } in find(text, "") {
        masked.push_str(text.get(end..secret.start).unwrap_or_default());
        masked.extend(text.get(secret.clone()).unwrap_or_default().chars().map(|_| MASK));
        end = secret.end;
    }
    masked.push_str(text.get(end..).unwrap_or_default());
    masked
}

#[cfg(test)]
mod tests;
