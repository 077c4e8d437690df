//! The firewall rules that a node leaves: kube-proxy's chains (`KUBE-*`) and our own two rules, told by their comment.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;

use super::node::NETWORK;
use crate::command::{command, find, output};

const FAMILIES: [(&str, &str); 2] =
    [("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")];

/// Whether rules of some kube-proxy are there.
pub(crate) async fn has_rules() -> Result<bool> {
    for (save, _) in FAMILIES {
        if let Some(save) = find(save)
            && removal(&output(&mut command(save)).await?).is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes them, and leaves all other rules as they are.
pub(crate) async fn remove_rules() -> Result<()> {
    for (save, restore) in FAMILIES {
        let (Some(save), Some(restore)) = (find(save), find(restore)) else { continue };
        let Some(script) = removal(&output(&mut command(save)).await?) else { continue };
        let mut restore = command(restore);
        restore
            .args(["--noflush", "--wait"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = restore.spawn().context("cannot run iptables-restore")?;
        let mut stdin = child.stdin.take().context("stdin was piped")?;
        stdin.write_all(script.as_bytes()).await?;
        drop(stdin);
        let done = child.wait_with_output().await?;
        if !done.status.success() {
            bail!("cannot remove firewall rules: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
    Ok(())
}

/// Input for `iptables-restore --noflush` that removes what is ours from a table dump; none when nothing is.
fn removal(dump: &str) -> Option<String> {
    let mut script = String::new();
    for table in dump.split_inclusive("COMMIT\n") {
        let chains: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split(' ').next())
            .filter(|chain| chain.starts_with("KUBE-"))
            .collect();
        let rules = table.lines().filter_map(|line| line.strip_prefix("-A "));
        let ours = rules.filter(|rule| !rule.starts_with("KUBE-") && is_ours(rule));
        let lines: Vec<String> = ours
            .map(|rule| format!("-D {rule}\n"))
            .chain(chains.iter().map(|chain| format!("-F {chain}\n")))
            .chain(chains.iter().map(|chain| format!("-X {chain}\n")))
            .collect();
        let name = table.lines().find(|line| line.starts_with('*'));
        if let (Some(name), false) = (name, lines.is_empty()) {
            script += &format!("{name}\n{}COMMIT\n", lines.concat());
        }
    }
    (!script.is_empty()).then_some(script)
}

fn is_ours(rule: &str) -> bool {
    rule.contains(" -j KUBE-") || rule.contains(&format!("--comment {NETWORK} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_and_chains_go_and_all_others_stay() {
        let dump = "# Generated\n*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-1 - [0:0]\n\
                    -A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
                    -A PREROUTING -j DOCKER\n-A KUBE-SERVICES -j KUBE-SVC-1\nCOMMIT\n\
                    *filter\n:FORWARD DROP [0:0]\n\
                    -A FORWARD -s 10.204.0.0/24 -m comment --comment perpro-e2e -j ACCEPT\n\
                    -A FORWARD -j DOCKER-USER\nCOMMIT\n";
        assert_eq!(
            removal(dump).unwrap(),
            "*nat\n-D PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n\
             -F KUBE-SERVICES\n-F KUBE-SVC-1\n-X KUBE-SERVICES\n-X KUBE-SVC-1\nCOMMIT\n\
             *filter\n-D FORWARD -s 10.204.0.0/24 -m comment --comment perpro-e2e -j ACCEPT\nCOMMIT\n"
        );
    }

    #[test]
    fn where_nothing_is_ours_nothing_is_touched() {
        assert_eq!(removal("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"), None);
        assert_eq!(removal(""), None);
    }
}
