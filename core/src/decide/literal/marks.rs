//! Credentials that begin with a mark of their issuer.

use super::bytes::{LONGEST, alphanumeric, base32, dashed, dotted, hex, of_a_path, run, url_safe, word};
use super::form::Found;
use super::placeholder::is_random;

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

/// Whether one begins with this byte, which is looked at before anything else.
pub(super) const BEGIN: [bool; 256] = {
    let mut begin = [false; 256];
    let mut i = 0;
    while i < MARKED.len() {
        begin[MARKED[i].mark.as_bytes()[0] as usize] = true;
        i += 1;
    }
    begin
};

/// The one that begins at `at`.
pub(super) fn with_mark(text: &[u8], at: usize) -> Option<Found> {
    let rest = &text[at..];
    let form = MARKED.iter().find(|form| rest.starts_with(form.mark.as_bytes()))?;
    let begin = at + form.mark.len();
    let (least, most) = form.length;
    let length = run(&text[..text.len().min(begin + most + 1)], begin, form.of);
    let secret = &text[begin..begin + length];
    (least <= length && length <= most && is_random(secret)).then_some((form.what, at..begin + length))
}
