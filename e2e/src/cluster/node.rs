//! containerd, kubelet and kube-proxy: how the one node is configured and started.
//!
//! Pods are joined to the machine by point-to-point links (CNI plugin `ptp`), so there is no bridge: every packet
//! between pods is routed, and kube-proxy's rules see it. Pods reach each other, Services and this machine; their
//! addresses are not hidden behind the machine's, so nothing beyond it answers them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::control_plane::{Args, Setup};
use super::process::Launch;
use super::state::State;
use super::{cgroups, health, network};
use crate::command::{command, find, output};
use crate::images::Image;
use crate::programs::Program;
use crate::{files, packages};

/// The node's name.
pub(crate) const NAME: &str = "perpro";

/// Kernel settings that kubelet, kube-proxy and the CNI plugin write.
pub(crate) const SYSCTLS: [&str; 8] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

impl Setup<'_> {
    /// Starts the node's programs and waits until the node is Ready.
    ///
    /// # Errors
    /// When one does not work.
    pub(crate) async fn start_node(self, state: &mut State, pause: &Image) -> Result<()> {
        self.write_node_files(pause)?;
        cgroups::create()?;
        state.start(&self.containerd()?)?;
        health::component(self.layout, state, "containerd", async || {
            output(self.ctr().arg("version")).await.map(drop)
        })
        .await?;
        self.import(pause).await?;
        state.start(&self.kubelet())?;
        state.start(&self.kube_proxy())?;
        allow_forwarding().await?;
        health::says_healthy(self, state, "kube-proxy").await?;
        health::node(self, state).await
    }

    /// Makes an image known to the node.
    ///
    /// # Errors
    /// When containerd refuses it.
    pub(crate) async fn import(&self, image: &Image) -> Result<()> {
        output(self.ctr().args(["images", "import"]).arg(&image.archive)).await.map(drop)
    }

    /// `ctr`, pointed at our containerd and at Kubernetes' images.
    pub(crate) fn ctr(&self) -> tokio::process::Command {
        let mut ctr = command(Program::containerd().folder(self.cache).join("ctr"));
        ctr.arg("--address").arg(self.layout.containerd_socket()).args(["--namespace", "k8s.io"]);
        ctr
    }

    fn write_node_files(&self, pause: &Image) -> Result<()> {
        let config = self.layout.config();
        self.write_kubeconfig(&self.layout.kubeconfig_of("kubelet"), "kubelet")?;
        self.write_kubeconfig(&self.layout.kubeconfig_of("kube-proxy"), "kube-proxy")?;
        files::write(&config.join("kubelet.yaml"), serde_yaml::to_string(&self.kubelet_config())?)?;
        files::write(&config.join("kube-proxy.yaml"), serde_yaml::to_string(&self.proxy_config())?)?;
        files::write(&config.join("containerd.toml"), self.containerd_config(&pause.reference)?)?;
        let cni = self.layout.cni().join("net.d");
        files::private_dir(&cni)?;
        files::write(&cni.join("10-perpro.conflist"), self.cni_config().to_string())
    }

    fn containerd(&self) -> Result<Launch> {
        let folder = Program::containerd().folder(self.cache);
        let mut args = Args::default();
        args.path("config", &self.layout.config().join("containerd.toml"));
        let mut launch = self.launch("containerd", folder.join("containerd"), args);
        // It finds its shim in PATH, and the shim finds runc there.
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = [folder].into_iter().chain(std::env::split_paths(&inherited)).chain(["/usr/sbin".into()]);
        let path = std::env::join_paths(path)?.into_string();
        let path = path.ok().context("PATH is not text")?;
        launch.env.insert("PATH".into(), path);
        Ok(launch)
    }

    fn kubelet(&self) -> Launch {
        let mut args = Args::default();
        args.path("config", &self.layout.config().join("kubelet.yaml"));
        args.path("kubeconfig", &self.layout.kubeconfig_of("kubelet"));
        args.path("root-dir", &self.layout.kubelet());
        args.path("cert-dir", &self.layout.pki());
        args.set("hostname-override", NAME);
        args.set("node-ip", self.facts.address);
        let [kubelet, _] = Program::node(&self.facts.version);
        self.launch("kubelet", kubelet.path(self.cache), args)
    }

    fn kube_proxy(&self) -> Launch {
        let mut args = Args::default();
        args.path("config", &self.layout.config().join("kube-proxy.yaml"));
        let [_, proxy] = Program::node(&self.facts.version);
        self.launch("kube-proxy", proxy.path(self.cache), args)
    }

    fn kubelet_config(&self) -> Value {
        let layout = self.layout;
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.facts.address,
            "port": self.facts.ports.kubelet,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": self.facts.ports.kubelet_health,
            "tlsCertFile": layout.certificate("kubelet-server"),
            "tlsPrivateKeyFile": layout.key("kubelet-server"),
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": layout.certificate("ca")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
            "podLogsDir": layout.logs().join("pods"),
            "volumePluginDir": layout.kubelet().join("volume-plugins"),
            // All cgroups of pods are under one that is ours, so that `down` knows what to end.
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", cgroups::NAME),
            "failCgroupV1": false,
            "enforceNodeAllocatable": ["pods"],
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            // A developer's disk is often nearly full, and an image that is collected cannot be pulled again.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
        })
    }

    fn proxy_config(&self) -> Value {
        json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": self.layout.kubeconfig_of("kube-proxy")},
            "hostnameOverride": NAME,
            "clusterCIDR": network::PODS,
            "detectLocalMode": "ClusterCIDR",
            "healthzBindAddress": format!("127.0.0.1:{}", self.facts.ports.proxy_health),
            "metricsBindAddress": format!("127.0.0.1:{}", self.facts.ports.proxy_metrics),
            // Leave the machine's own settings as they are.
            "iptables": {"localhostNodePorts": false},
            "conntrack": {
                "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s",
            },
        })
    }

    fn cni_config(&self) -> Value {
        json!({
            "cniVersion": "1.0.0",
            "name": NETWORK,
            "plugins": [{
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.layout.cni().join("addresses"),
                    "ranges": [[{"subnet": network::PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
    }

    /// `restrict_oom_score_adj`: without it no sandbox starts where we may not lower scores. The network namespaces
    /// are kept in the state folder, so that unmounting what is in the cluster's folder removes them.
    fn containerd_config(&self, pause: &str) -> Result<String> {
        let cni = packages::cni_folder().context("the CNI plugins are missing")?;
        let runc = find("runc").context("runc is missing")?;
        let [cni, runc] = [quoted(&cni), quoted(&runc)];
        let folder = self.layout.containerd();
        let [root, state, opt, runc_state] =
            ["root", "state", "opt", "runc"].map(|name| quoted(&folder.join(name)));
        let socket = quoted(&self.layout.containerd_socket());
        let net_d = quoted(&self.layout.cni().join("net.d"));
        Ok(format!(
            r#"version = 3
root = {root}
state = {state}
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
address = {socket}
[plugins."io.containerd.internal.v1.opt"]
path = {opt}
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [{cni}]
conf_dir = {net_d}
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = {runc}
Root = {runc_state}
SystemdCgroup = false
"#
        ))
    }
}

/// The CNI network's name, and the comment on our firewall rules.
pub(crate) const NETWORK: &str = "perpro-e2e";

/// A machine that drops what it forwards (Docker does that) must let pods' packets pass.
async fn allow_forwarding() -> Result<()> {
    let iptables = find("iptables").context("iptables is missing")?;
    for side in ["--source", "--destination"] {
        let mut rule = command(&iptables);
        rule.args(["--wait", "--insert", "FORWARD", side, network::PODS]);
        output(rule.args(["--match", "comment", "--comment", NETWORK, "--jump", "ACCEPT"])).await?;
    }
    Ok(())
}

/// A TOML string.
fn quoted(path: &Path) -> String {
    Value::from(path.to_string_lossy()).to_string() // the escapes of JSON are a subset of TOML's
}

/// How long pods and their shims get to end.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
