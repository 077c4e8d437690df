//! Which workload is meant, in kubectl's words.

use crate::manifest::Object;
use perpro_core::names;
use std::fmt;

/// A kind that makes pods.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// As its objects say it.
    pub(crate) kind: &'static str,
    /// As kubectl says it of one.
    pub(crate) one: &'static str,
    /// As the API says it of many.
    pub(crate) plural: &'static str,
    short: &'static str,
    pub(crate) group: &'static str,
    /// The way to its pod template; none for a pod.
    pub(crate) template: &'static [&'static str],
}

/// Every kind that can be adopted.
pub(crate) const KINDS: [Kind; 7] = [
    kind("Deployment", "deployment", "deployments", "deploy", "apps", &["spec", "template"]),
    kind("StatefulSet", "statefulset", "statefulsets", "sts", "apps", &["spec", "template"]),
    kind("DaemonSet", "daemonset", "daemonsets", "ds", "apps", &["spec", "template"]),
    kind("CronJob", "cronjob", "cronjobs", "cj", "batch", &["spec", "jobTemplate", "spec", "template"]),
    kind("Job", "job", "jobs", "", "batch", &["spec", "template"]),
    kind("ReplicaSet", "replicaset", "replicasets", "rs", "apps", &["spec", "template"]),
    kind("Pod", "pod", "pods", "po", "", &[]),
];

const fn kind(
    kind: &'static str,
    one: &'static str,
    plural: &'static str,
    short: &'static str,
    group: &'static str,
    template: &'static [&'static str],
) -> Kind {
    Kind { kind, one, plural, short, group, template }
}

impl Kind {
    /// Where the objects of a namespace are at an API server.
    pub(crate) fn path(&self, namespace: &str) -> String {
        let Self { group, plural, .. } = self;
        if group.is_empty() {
            format!("/api/v1/namespaces/{namespace}/{plural}")
        } else {
            format!("/apis/{group}/v1/namespaces/{namespace}/{plural}")
        }
    }

    /// That of an object's group and kind.
    pub(crate) fn of(group: &str, kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|k| k.group == group && k.kind == kind)
    }

    /// By kubectl's words: `deploy`, `Deployments`, `deployments.apps`, `deployment.v1.apps`.
    fn named(word: &str) -> Option<&'static Self> {
        let word = word.to_ascii_lowercase();
        let (name, group) = word.split_once('.').map_or((word.as_str(), None), |(n, g)| (n, Some(g)));
        let is_name =
            |k: &&Kind| name == k.one || name == k.plural || (!k.short.is_empty() && name == k.short);
        let is_group =
            |k: &&Kind| group.is_none_or(|g| g == k.group || g.strip_prefix("v1.") == Some(k.group));
        KINDS.iter().filter(is_name).find(is_group)
    }
}

/// One workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    pub(crate) name: String,
}

impl Target {
    /// `deploy/x`, or `deploy x`.
    ///
    /// # Errors
    /// What is wrong with it, for who wrote it.
    pub(crate) fn parse(words: &[String]) -> Result<Self, String> {
        let (kind, name) = match words {
            [both] => both
                .split_once('/')
                .ok_or_else(|| format!("say which kind \"{both}\" is, as in deployment/{both}"))?,
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => return Err("name one workload, as in deployment/x".to_owned()),
        };
        let found = Kind::named(kind).ok_or_else(|| {
            let known = KINDS.map(|k| k.one).join(", ");
            format!("\"{kind}\" can't be adopted: it is none of {known}")
        })?;
        if !names::is_dns_subdomain(name) {
            return Err(format!("\"{name}\" is no name of a {}", found.one));
        }
        Ok(Self { kind: found, name: name.to_owned() })
    }

    /// What an object is, if it can be adopted.
    pub(crate) fn of(object: &Object) -> Option<Self> {
        let kind = Kind::of(object.group(), &object.kind)?;
        Some(Self { kind, name: object.name()?.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.one, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parsed(words: &str) -> Result<String, String> {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        Target::parse(&words).map(|t| format!("{t} {}", t.kind.path("ns")))
    }

    #[rstest]
    #[case("deploy/x", "deployment/x /apis/apps/v1/namespaces/ns/deployments")]
    #[case("deployment x", "deployment/x /apis/apps/v1/namespaces/ns/deployments")]
    #[case("Deployments.apps/x", "deployment/x /apis/apps/v1/namespaces/ns/deployments")]
    #[case("sts/x", "statefulset/x /apis/apps/v1/namespaces/ns/statefulsets")]
    #[case("daemonset.v1.apps/x", "daemonset/x /apis/apps/v1/namespaces/ns/daemonsets")]
    #[case("cj/x", "cronjob/x /apis/batch/v1/namespaces/ns/cronjobs")]
    #[case("jobs/x", "job/x /apis/batch/v1/namespaces/ns/jobs")]
    #[case("rs/x", "replicaset/x /apis/apps/v1/namespaces/ns/replicasets")]
    #[case("po/x.y", "pod/x.y /api/v1/namespaces/ns/pods")]
    fn a_workload_is_named_as_kubectl_names_it(#[case] words: &str, #[case] expected: &str) {
        assert_eq!(parsed(words).as_deref(), Ok(expected));
    }

    #[rstest]
    #[case("x", "say which kind \"x\" is, as in deployment/x")]
    #[case("svc/x", "\"svc\" can't be adopted")]
    #[case("/x", "\"\" can't be adopted")]
    #[case("deployments.extensions/x", "\"deployments.extensions\" can't be adopted")]
    #[case("deploy/../secrets/x", "is no name of a deployment")]
    fn what_names_none_is_told(#[case] words: &str, #[case] expected: &str) {
        let told = parsed(words).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }
}
