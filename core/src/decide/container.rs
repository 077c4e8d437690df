//! A container as the decisions see it, of whichever kind: everything of it that can bring a credential.

use super::path::Part;
use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, EphemeralContainer, Lifecycle, Probe, SecurityContext, VolumeMount,
};

/// What the three kinds of container have in common, and all of it that can bring a credential.
pub(super) struct ContainerView<'a> {
    pub(super) path: Part,
    pub(super) name: &'a str,
    pub(super) image: Option<&'a str>,
    pub(super) env: &'a [EnvVar],
    pub(super) env_from: &'a [EnvFromSource],
    pub(super) command: &'a [String],
    pub(super) args: &'a [String],
    /// By the names of their fields.
    pub(super) probes: [(&'static str, Option<&'a Probe>); 3],
    pub(super) lifecycle: Option<&'a Lifecycle>,
    pub(super) mounts: &'a [VolumeMount],
    pub(super) security: Option<&'a SecurityContext>,
}

/// Borrows what concerns us and names all the rest, so that a field which a later API adds
/// stops the build until somebody has classified it.
macro_rules! view {
    ($container:expr, $path:expr, $kind:ident { $($extra:ident),* }) => {{
        let $kind {
            name, image, env, env_from, command, args, volume_mounts, security_context,
            lifecycle, liveness_probe, readiness_probe, startup_probe,
            // Run inside the container, with what the container already has.
            working_dir: _, stdin: _, stdin_once: _, tty: _, termination_message_path: _,
            termination_message_policy: _, restart_policy: _, restart_policy_rules: _,
            // Amounts, ports and raw block devices of claims: no credential.
            image_pull_policy: _, ports: _, resize_policy: _, resources: _, volume_devices: _,
            $($extra: _),*
        } = $container;
        ContainerView {
            path: $path,
            name,
            image: image.as_deref(),
            env: env.as_deref().unwrap_or_default(),
            env_from: env_from.as_deref().unwrap_or_default(),
            command: command.as_deref().unwrap_or_default(),
            args: args.as_deref().unwrap_or_default(),
            probes: [
                ("livenessProbe", liveness_probe.as_ref()),
                ("readinessProbe", readiness_probe.as_ref()),
                ("startupProbe", startup_probe.as_ref()),
            ],
            lifecycle: lifecycle.as_ref(),
            mounts: volume_mounts.as_deref().unwrap_or_default(),
            security: security_context.as_ref(),
        }
    }};
}

impl<'a> ContainerView<'a> {
    pub(super) fn of(path: Part, container: &'a Container) -> Self {
        view!(container, path, Container {})
    }

    pub(super) fn of_ephemeral(path: Part, container: &'a EphemeralContainer) -> Self {
        // targetContainerName shares a process namespace; `isolation` refuses ephemeral
        // containers in a pod that is being created, and exec policies guard later ones.
        view!(container, path, EphemeralContainer { target_container_name })
    }
}
