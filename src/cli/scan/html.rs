//! The report as one page that needs nothing else: for a meeting, or to be mailed.

use crate::scan::{Crack, Report, headline, next_steps};
use jiff::Timestamp;
use std::fmt::{self, Display, Write};

/// How many of a kind are shown.
const SHOWN: usize = 10;
/// What looks worst, in this order: what one such agent can do to everybody comes first.
const FIRST: [Crack; 5] =
    [Crack::WideRoles, Crack::BroadKeys, Crack::SharedCredentials, Crack::LongLivedKeys, Crack::Untraceable];
const STYLE: &str = include_str!("page.css");

/// Text that others wrote, as HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Also what would turn the direction of the text around.
                c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    write!(f, "{}", c.escape_default())?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The page. `namespace`: the only one that was looked at.
pub(super) fn render(report: &Report, namespace: Option<&str>, now: Timestamp) -> String {
    let mut page = String::new();
    // Writing to a String never fails.
    let _ = write_page(&mut page, report, namespace, now);
    page
}

fn write_page(out: &mut String, report: &Report, namespace: Option<&str>, now: Timestamp) -> fmt::Result {
    let day = now.strftime("%-d %B %Y, %H:%M UTC");
    let place = namespace.map_or_else(|| "all namespaces".to_owned(), |n| format!("namespace {n}"));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Identities of AI agents</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"eyebrow\">Identities of AI agents &middot; {} &middot; {day}</p>\n<h1>{}</h1>\n",
        Escaped(&place),
        Escaped(&headline(report)),
    )?;
    if !report.gaps.is_empty() {
        out.push_str(
            "<div class=\"warn\"><strong>Numbers are too low: not everything could be read.</strong><ul>\n",
        );
        items(out, &report.gaps)?;
        out.push_str("</ul></div>\n");
    }
    cracks(out, report)?;
    worst(out, report)?;
    let next = next_steps(report);
    if !next.is_empty() {
        out.push_str("<section>\n<h2>What to do next</h2>\n<ol>\n");
        items(out, &next)?;
        out.push_str("</ol>\n</section>\n");
    }
    details(out, report)?;
    out.push_str("<footer>\n");
    for note in &report.notes {
        writeln!(out, "<p>{}</p>", Escaped(note))?;
    }
    let pods = report.pods;
    writeln!(
        out,
        "<p>{pods} pods were read, and nothing was written. Workloads of Kubernetes itself and of perpro are not \
         counted. perpro {}</p>\n</footer>\n</main>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}

/// The eight rows.
fn cracks(out: &mut String, report: &Report) -> fmt::Result {
    let agents = report.agents.len();
    out.push_str(
        "<section>\n<table class=\"cracks\">\n<thead><tr><th colspan=\"2\">Crack</th><th>Agents</th>\
         <th class=\"num\">All workloads</th><th>What closes it</th></tr></thead>\n<tbody>\n",
    );
    for row in &report.rows {
        let percent = row.agents.checked_mul(100).and_then(|n| n.checked_div(agents)).unwrap_or_default();
        let state = match row.agents {
            0 => "good",
            _ if !row.crack.can_be_closed() => "later",
            _ => "bad",
        };
        let workloads = row.workloads.map_or_else(|| "&ndash;".to_owned(), |n| n.to_string());
        writeln!(
            out,
            "<tr class=\"{state}\"><td class=\"no\">{}</td><td class=\"what\"><strong>{}</strong><span>{}</span></td>\
             <td class=\"share\"><span class=\"n\">{}<small> of {agents}</small></span>\
             <span class=\"bar\"><i style=\"width:{percent}%\"></i></span></td><td class=\"num\">{workloads}</td>\
             <td class=\"fix\">{}</td></tr>",
            row.crack.number(),
            Escaped(row.crack.title()),
            Escaped(row.crack.meaning()),
            row.agents,
            Escaped(row.crack.closed_by()),
        )?;
    }
    out.push_str("</tbody>\n</table>\n</section>\n");
    Ok(())
}

/// The first finding of each crack.
fn worst(out: &mut String, report: &Report) -> fmt::Result {
    let row = |crack: &Crack| report.rows.iter().find(|r| r.crack == *crack);
    let first = |crack: &Crack| Some((*crack, row(crack)?.findings.first()?));
    let found: Vec<_> = FIRST.iter().filter_map(first).collect();
    if found.is_empty() {
        return Ok(());
    }
    out.push_str("<section>\n<h2>What is worst</h2>\n<div class=\"cards\">\n");
    for (crack, finding) in found {
        writeln!(
            out,
            "<div class=\"card\"><p class=\"tag\">{} {}</p><p class=\"name\">{}</p><p>{}</p></div>",
            crack.number(),
            Escaped(crack.title()),
            Escaped(&finding.at.to_string()),
            Escaped(&finding.what),
        )?;
    }
    out.push_str("</div>\n</section>\n");
    Ok(())
}

/// Everything by name, folded up.
fn details(out: &mut String, report: &Report) -> fmt::Result {
    out.push_str("<section>\n<h2>By name</h2>\n");
    for row in &report.rows {
        let rows: Vec<_> = row.findings.iter().map(|f| (f.at.to_string(), f.what.clone())).collect();
        fold(out, &format!("{} {}", row.crack.number(), row.crack.title()), &rows)?;
    }
    let agents: Vec<_> = report
        .unlabelled()
        .map(|a| {
            let owner = a.owner.as_deref().unwrap_or("nobody");
            (a.at.to_string(), format!("known by {}; owner: {owner}", a.why))
        })
        .collect();
    fold(out, "Agents that nobody labelled", &agents)?;
    for holding in &report.holdings {
        fold(out, holding.title, &holding.holders)?;
    }
    let unused: Vec<_> = report
        .unused
        .iter()
        .map(|u| {
            (u.at.to_string(), if u.roles.is_empty() { "no roles".to_owned() } else { u.roles.join("; ") })
        })
        .collect();
    fold(out, "Service accounts that no pod runs under", &unused)?;
    out.push_str("</section>\n");
    Ok(())
}

fn fold(out: &mut String, title: &str, rows: &[(String, String)]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<details><summary>{} <span class=\"count\">{}</span></summary>\n<table class=\"names\">",
        Escaped(title),
        rows.len()
    )?;
    for (at, what) in rows.iter().take(SHOWN) {
        writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", Escaped(at), Escaped(what))?;
    }
    out.push_str("</table>\n");
    if let Some(more) = rows.len().checked_sub(SHOWN).filter(|n| *n > 0) {
        writeln!(out, "<p class=\"more\">and {more} more: <code>perpro scan -o json</code> lists all</p>")?;
    }
    out.push_str("</details>\n");
    Ok(())
}

fn items(out: &mut String, sentences: &[String]) -> fmt::Result {
    sentences.iter().try_for_each(|s| writeln!(out, "<li>{}</li>", Escaped(s)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Listing, report};
    use serde_json::json;

    fn page(owner: &str, gap: Option<&str>) -> String {
        let mut listing = Listing::default();
        let pod = json!({
            "metadata": {"namespace": "ns", "name": "a-agent", "annotations": {"a8r.io/owner": owner}},
            "spec": {"hostPID": true, "containers": [{"name": "main"}]},
        });
        listing.pod(&pod.to_string());
        gap.into_iter().for_each(|gap| listing.gap(gap.to_owned()));
        render(&report(listing), Some("ns"), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_others_wrote_is_text_and_nothing_else() {
        let page = page("<script>alert(\"1\")</script>&'\u{202e}x", Some("<b>forbidden</b>"));
        let shown = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\\u{202e}x (a8r.io/owner)";
        assert!(page.contains(shown) && page.contains("&lt;b&gt;forbidden&lt;/b&gt;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains('\u{202e}'), "{page}");
    }

    #[test]
    fn the_page_needs_nothing_from_anywhere() {
        let page = page("x", None);
        for outside in ["http:", "https:", "//", "url(", "@import", "<link", "src=", "<script", " on"] {
            let css_and_tags = page.split("<main>").next().unwrap_or_default();
            assert!(!css_and_tags.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'") && page.contains("prefers-color-scheme:dark"));
        assert!(
            page.contains(
                "<h1>1 AI agent among 1 workload. Nobody labelled any of them, and an owner is named"
            )
        );
        assert!(!page.contains("Numbers are too low"));
    }
}
