//! Which credentials does this pod hold? The one question that webhook, controller, `check` and
//! `scan` all ask.

use super::container::ContainerView;
use super::path::Part;
use super::pod::AgentPod;
use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVarSource, KeyToPath, ProjectedVolumeSource, Volume, VolumeMount, VolumeProjection,
};
use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::fmt::Display;

/// A credential that a container (or, unmounted, only the pod) holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The container; `None` for a volume that no container mounts.
    pub container: Option<String>,
    /// Path of the field that brings it.
    pub path: String,
    /// What it is.
    pub what: What,
}

/// Kinds of credential that the pod API can bring into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// One key of a Secret.
    SecretKey {
        /// Name of the Secret.
        secret: String,
        /// Its key.
        key: String,
        /// Where the container finds it.
        place: Place,
    },
    /// Every key of a Secret, those of tomorrow included.
    WholeSecret {
        /// Name of the Secret.
        secret: String,
        /// The field that takes it.
        by: &'static str,
    },
    /// A projected service account token.
    Token {
        /// Audience; `None` is the API server's.
        audience: Option<String>,
        /// Lifetime in seconds, as asked for.
        seconds: Option<i64>,
        /// Where the container finds it.
        place: Place,
    },
    /// A key and certificate that the kubelet asks for.
    PodCertificate,
    /// A value that another container wrote to a file.
    FromFile {
        /// The environment variable.
        env: String,
    },
}

/// Where a container finds a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An environment variable.
    Env(String),
    /// A file, by absolute path.
    File(String),
    /// Nowhere: no container mounts the volume.
    Unmounted,
}

/// All credentials that the pod holds, in the order of its fields.
#[must_use]
pub fn credentials(pod: &AgentPod) -> Vec<Credential> {
    let containers = pod.containers();
    let mut found: Vec<_> = containers.iter().flat_map(in_env).collect();
    for (path, volume) in pod.volumes() {
        let mounts = containers
            .iter()
            .flat_map(|c| c.mounts.iter().map(move |m| (c.name, m)))
            .filter(|(_, m)| m.name == volume.name)
            .map(|(c, m)| (Some(c), Some(m)))
            .collect::<Vec<_>>();
        let mounts = if mounts.is_empty() { vec![(None, None)] } else { mounts };
        for (container, mount) in mounts {
            in_volume(path, volume, &mut |path, what| {
                let what = what.found_under(mount);
                found.push(Credential { container: container.map(str::to_owned), path, what });
            });
        }
    }
    found
}

/// How paths call a container's variables: by name, as those that inject puts first would shift a position; of several with
/// one name each by its position, as the name leads to the first.
pub(super) fn env_paths(container: &ContainerView<'_>) -> impl Fn(usize) -> String {
    let (env, path) = (container.env, container.path);
    // Most containers have nothing to tell of.
    let again = LazyCell::new(move || {
        let mut seen = BTreeSet::new();
        env.iter().map(|e| &e.name).filter(|name| !seen.insert(*name)).collect::<BTreeSet<_>>()
    });
    move |at| {
        let name = &env[at].name;
        if again.contains(name) { format!("{path}.env[{at}]") } else { format!("{path}.env[{name}]") }
    }
}

pub(super) fn in_env(container: &ContainerView<'_>) -> Vec<Credential> {
    let mut found = Vec::new();
    let path = env_paths(container);
    let mut add = |path: String, what| {
        found.push(Credential { container: Some(container.name.to_owned()), path, what });
    };
    for (at, env) in container.env.iter().enumerate() {
        let Some(source) = &env.value_from else { continue };
        // Named in full: a new source stops the build until it is classified.
        let EnvVarSource {
            secret_key_ref,
            file_key_ref,
            config_map_key_ref: _,
            field_ref: _,
            resource_field_ref: _,
        } = source;
        if let Some(r) = secret_key_ref {
            let place = Place::Env(env.name.clone());
            add(path(at), What::SecretKey { secret: r.name.clone(), key: r.key.clone(), place });
        }
        if file_key_ref.is_some() {
            add(path(at), What::FromFile { env: env.name.clone() });
        }
    }
    for (i, from) in container.env_from.iter().enumerate() {
        let EnvFromSource { secret_ref, config_map_ref: _, prefix: _ } = from;
        if let Some(r) = secret_ref {
            let what = What::WholeSecret { secret: r.name.clone(), by: "envFrom" };
            add(format!("{}.envFrom[{i}]", container.path), what);
        }
    }
    found
}

/// Reports what `volume` holds; volume types that name credentials of their driver are refused
/// whole by `isolation`.
pub(super) fn in_volume(path: Part, volume: &Volume, report: &mut impl FnMut(String, What)) {
    if let Some(s) = &volume.secret {
        let secret = s.secret_name.clone().unwrap_or_default();
        secret_items(&format_args!("{path}.secret"), &secret, "a volume", s.items.as_deref(), report);
    }
    if let Some(ProjectedVolumeSource { sources, default_mode: _, default_user: _ }) = &volume.projected {
        for (i, source) in sources.iter().flatten().enumerate() {
            in_projection(&format_args!("{path}.projected.sources[{i}]"), source, report);
        }
    }
}

fn in_projection(path: &dyn Display, source: &VolumeProjection, report: &mut impl FnMut(String, What)) {
    // Named in full: a new source stops the build until it is classified. A trust bundle holds
    // public certificates.
    let VolumeProjection {
        secret,
        service_account_token,
        pod_certificate,
        config_map: _,
        downward_api: _,
        cluster_trust_bundle: _,
    } = source;
    if let Some(s) = secret {
        secret_items(
            &format_args!("{path}.secret"),
            &s.name,
            "a projected volume",
            s.items.as_deref(),
            report,
        );
    }
    if let Some(t) = service_account_token {
        let audience = t.audience.clone().filter(|a| !a.is_empty());
        let place = Place::File(t.path.clone());
        report(
            format!("{path}.serviceAccountToken"),
            What::Token { audience, seconds: t.expiration_seconds, place },
        );
    }
    if pod_certificate.is_some() {
        report(format!("{path}.podCertificate"), What::PodCertificate);
    }
}

fn secret_items(
    path: &dyn Display,
    secret: &str,
    by: &'static str,
    items: Option<&[KeyToPath]>,
    report: &mut impl FnMut(String, What),
) {
    match items {
        // An empty list means the same to the kubelet as none.
        None | Some([]) => report(path.to_string(), What::WholeSecret { secret: secret.to_owned(), by }),
        Some(items) => {
            for (i, item) in items.iter().enumerate() {
                let place = Place::File(item.path.clone());
                let what = What::SecretKey { secret: secret.to_owned(), key: item.key.clone(), place };
                report(format!("{path}.items[{i}]"), what);
            }
        }
    }
}

impl What {
    /// The same credential with its place made absolute by a mount.
    fn found_under(mut self, mount: Option<&VolumeMount>) -> Self {
        if let Self::SecretKey { place, .. } | Self::Token { place, .. } = &mut self
            && let Place::File(relative) = place
        {
            *place = mount.map_or(Place::Unmounted, |m| Place::File(absolute(m, relative)));
        }
        self
    }
}

/// Where a volume's file appears. With a subPath the mount shows one file or folder; it counts
/// as held all the same, at the mount itself.
fn absolute(mount: &VolumeMount, relative: &str) -> String {
    let base = mount.mount_path.trim_end_matches('/');
    if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
        base.to_owned()
    } else {
        format!("{base}/{relative}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn held(spec: &Value) -> Vec<(Option<String>, What)> {
        let pod = AgentPod::parse(&json!({ "spec": spec }).to_string()).unwrap();
        credentials(&pod).into_iter().map(|c| (c.container, c.what)).collect()
    }

    #[test]
    fn every_door_for_a_secret_is_seen() {
        let spec = json!({
            "initContainers": [{"name": "init", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}],
            "containers": [{"name": "main",
                "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "all"}}],
                "volumeMounts": [{"name": "v", "mountPath": "/s/"}]}],
            "ephemeralContainers": [{"name": "debug", "volumeMounts": [{"name": "v", "mountPath": "/d", "subPath": "x"}]}],
            "volumes": [
                {"name": "v", "secret": {"secretName": "t", "items": [{"key": "k", "path": "x"}]}},
                {"name": "w", "projected": {"sources": [{"secret": {"name": "u"}}, {"configMap": {"name": "c"}}]}}]
        });
        let key = |secret: &str, place| What::SecretKey { secret: secret.into(), key: "k".into(), place };
        assert_eq!(
            held(&spec),
            [
                (Some("init".into()), key("s", Place::Env("A".into()))),
                (Some("main".into()), What::WholeSecret { secret: "all".into(), by: "envFrom" }),
                (Some("main".into()), key("t", Place::File("/s/x".into()))),
                (Some("debug".into()), key("t", Place::File("/d".into()))),
                (None, What::WholeSecret { secret: "u".into(), by: "a projected volume" }),
            ]
        );
    }

    #[test]
    fn an_empty_audience_is_the_api_servers() {
        let spec = json!({
            "containers": [{"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/t"}]}],
            "volumes": [{"name": "v", "projected": {"sources": [
                {"serviceAccountToken": {"audience": "", "path": "token"}},
                {"serviceAccountToken": {"audience": "vault", "expirationSeconds": 600, "path": "v"}},
                {"podCertificate": {"signerName": "x/y", "keyType": "ED25519"}},
                {"clusterTrustBundle": {"name": "b", "path": "ca"}}]}}]
        });
        let token = |audience: Option<&str>, seconds, path: &str| What::Token {
            audience: audience.map(str::to_owned),
            seconds,
            place: Place::File(path.into()),
        };
        let main = || Some("main".to_owned());
        assert_eq!(
            held(&spec),
            [
                (main(), token(None, None, "/t/token")),
                (main(), token(Some("vault"), Some(600), "/t/v")),
                (main(), What::PodCertificate),
            ]
        );
    }
}
