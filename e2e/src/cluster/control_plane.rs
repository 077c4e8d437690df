//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler: how they are configured and started.
//!
//! No DNS: pods reach the API server by the address in `KUBERNETES_SERVICE_HOST`, and the API server reaches
//! webhooks by endpoint (`--enable-aggregator-routing`).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::kubeconfig::{self, Credential};
use super::layout::Layout;
use super::network;
use super::process::Launch;
use super::state::Facts;
use crate::cache::Cache;
use crate::files;
use crate::programs::Program;

/// Metadata of every request: who did what with which credential, no bodies.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// The folder, version and addresses that the components are started with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    /// Where built programs are.
    pub(crate) cache: &'a Cache,
    /// Where files are.
    pub(crate) layout: &'a Layout,
    /// Version, address and ports.
    pub(crate) facts: &'a Facts,
}

impl Setup<'_> {
    /// Where the API server is reached. Without a node it listens on loopback only.
    pub(crate) fn server(&self) -> String {
        format!("https://{}:{}", self.api_server_address(), self.facts.ports.api_server)
    }

    /// Writes the files that the components read.
    ///
    /// # Errors
    /// When one cannot be written.
    pub(crate) fn write_control_plane_files(&self) -> Result<()> {
        files::private_dir(&self.layout.config())?;
        files::write(&self.layout.config().join("audit-policy.yaml"), AUDIT_POLICY)?;
        for component in ["kube-controller-manager", "kube-scheduler"] {
            self.write_kubeconfig(&self.layout.kubeconfig_of(component), component)?;
        }
        self.write_kubeconfig(&self.layout.kubeconfig(), "admin")
    }

    /// Writes a kubeconfig with the client certificate of this name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_kubeconfig(&self, path: &Path, certificate: &str) -> Result<()> {
        kubeconfig::write(path, self.layout, &self.server(), Credential::Certificate(certificate))
    }

    /// The store. It need not survive a crash of the machine: then the cluster starts empty.
    pub(crate) fn etcd(&self) -> Launch {
        let ports = &self.facts.ports;
        let client = format!("https://127.0.0.1:{}", ports.etcd);
        let peer = format!("https://127.0.0.1:{}", ports.etcd_peer);
        let mut args = Args::default();
        args.set("name", "perpro-e2e");
        args.path("data-dir", &self.layout.etcd());
        args.set("listen-client-urls", &client);
        args.set("advertise-client-urls", &client);
        args.set("listen-peer-urls", &peer);
        args.set("initial-advertise-peer-urls", &peer);
        args.set("initial-cluster", format!("perpro-e2e={peer}"));
        args.set("unsafe-no-fsync", "true");
        for prefix in ["", "peer-"] {
            args.set(&format!("{prefix}client-cert-auth"), "true");
            args.path(&format!("{prefix}trusted-ca-file"), &self.layout.certificate("etcd-ca"));
            args.path(&format!("{prefix}cert-file"), &self.layout.certificate("etcd-server"));
            args.path(&format!("{prefix}key-file"), &self.layout.key("etcd-server"));
        }
        self.launch("etcd", Program::etcd().path(self.cache), args)
    }

    /// The API server.
    pub(crate) fn api_server(&self) -> Launch {
        let layout = self.layout;
        let mut args = Args::default();
        args.set("bind-address", self.api_server_address());
        args.set("advertise-address", self.facts.address);
        args.set("secure-port", self.facts.ports.api_server);
        args.path("tls-cert-file", &layout.certificate("kube-apiserver"));
        args.path("tls-private-key-file", &layout.key("kube-apiserver"));
        args.path("cert-dir", &layout.pki());
        args.path("client-ca-file", &layout.certificate("ca"));
        args.set("anonymous-auth", "false");
        args.set("authorization-mode", "Node,RBAC");
        args.set("enable-admission-plugins", "NodeRestriction");
        args.set("allow-privileged", "true");
        args.set("profiling", "false");
        args.set("etcd-servers", format!("https://127.0.0.1:{}", self.facts.ports.etcd));
        args.path("etcd-cafile", &layout.certificate("etcd-ca"));
        args.path("etcd-certfile", &layout.certificate("etcd-client"));
        args.path("etcd-keyfile", &layout.key("etcd-client"));
        args.set("service-account-issuer", "https://kubernetes.default.svc");
        args.path("service-account-key-file", &layout.pki().join("service-accounts.pub"));
        args.path("service-account-signing-key-file", &layout.key("service-accounts"));
        args.set("service-cluster-ip-range", network::SERVICES);
        args.set("enable-aggregator-routing", "true");
        args.path("audit-policy-file", &layout.config().join("audit-policy.yaml"));
        args.path("audit-log-path", &layout.logs().join("audit.log"));
        args.path("requestheader-client-ca-file", &layout.certificate("front-proxy-ca"));
        args.set("requestheader-allowed-names", "front-proxy-client");
        args.set("requestheader-username-headers", "X-Remote-User");
        args.set("requestheader-group-headers", "X-Remote-Group");
        args.set("requestheader-extra-headers-prefix", "X-Remote-Extra-");
        args.path("proxy-client-cert-file", &layout.certificate("front-proxy-client"));
        args.path("proxy-client-key-file", &layout.key("front-proxy-client"));
        args.set("kubelet-preferred-address-types", "InternalIP");
        args.path("kubelet-certificate-authority", &layout.certificate("ca"));
        args.path("kubelet-client-certificate", &layout.certificate("apiserver-kubelet-client"));
        args.path("kubelet-client-key", &layout.key("apiserver-kubelet-client"));
        if self.facts.nodeless {
            // Nobody reaches it through the Service, and a loopback address is refused as an endpoint.
            args.set("endpoint-reconciler-type", "none");
        }
        let [program, ..] = Program::control_plane(&self.facts.version);
        self.launch("kube-apiserver", program.path(self.cache), args)
    }

    /// The built-in controllers, each with a service account of its own, as in clusters that people run.
    pub(crate) fn controller_manager(&self) -> Launch {
        let layout = self.layout;
        let mut args = self.local_server("kube-controller-manager", self.facts.ports.controller_manager);
        args.set("use-service-account-credentials", "true");
        args.path("service-account-private-key-file", &layout.key("service-accounts"));
        args.path("root-ca-file", &layout.certificate("ca"));
        // With the default of 20 it takes 5 s to give each controller its account.
        args.set("kube-api-qps", 500);
        args.set("kube-api-burst", 500);
        args.path("cluster-signing-cert-file", &layout.certificate("ca"));
        args.path("cluster-signing-key-file", &layout.key("ca"));
        let [_, program, _] = Program::control_plane(&self.facts.version);
        self.launch("kube-controller-manager", program.path(self.cache), args)
    }

    /// The scheduler. Without a node too: a test may write Node objects.
    pub(crate) fn scheduler(&self) -> Launch {
        let args = self.local_server("kube-scheduler", self.facts.ports.scheduler);
        let [_, _, program] = Program::control_plane(&self.facts.version);
        self.launch("kube-scheduler", program.path(self.cache), args)
    }

    /// A component of this name, with its log where it belongs.
    pub(crate) fn launch(&self, name: &str, program: impl Into<std::path::PathBuf>, args: Args) -> Launch {
        Launch {
            name: name.into(),
            program: program.into(),
            args: args.0,
            env: BTreeMap::new(),
            log: self.layout.log(name),
        }
    }

    fn api_server_address(&self) -> Ipv4Addr {
        if self.facts.nodeless { Ipv4Addr::LOCALHOST } else { self.facts.address }
    }

    /// What the controller manager and the scheduler have in common.
    fn local_server(&self, component: &str, port: u16) -> Args {
        let kubeconfig = self.layout.kubeconfig_of(component);
        let mut args = Args::default();
        args.path("kubeconfig", &kubeconfig);
        args.path("authentication-kubeconfig", &kubeconfig);
        args.path("authorization-kubeconfig", &kubeconfig);
        args.set("bind-address", Ipv4Addr::LOCALHOST);
        args.set("secure-port", port);
        args.path("tls-cert-file", &self.layout.certificate("local-server"));
        args.path("tls-private-key-file", &self.layout.key("local-server"));
        args.set("leader-elect", "false");
        args.set("profiling", "false");
        args
    }
}

/// Flags of the form `--name=value`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args(Vec<String>);

impl Args {
    /// Adds a flag.
    pub(crate) fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    /// Adds a flag whose value is a path.
    pub(crate) fn path(&mut self, name: &str, value: &Path) {
        self.set(name, value.display());
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::ports::Ports;
    use super::*;

    fn args_of(nodeless: bool, launch: impl Fn(Setup<'_>) -> Launch) -> Vec<String> {
        let facts = Facts {
            version: "1.36.3".into(),
            nodeless,
            boot: String::new(),
            address: Ipv4Addr::new(198, 51, 100, 7),
            ports: Ports::pick(Path::new("/c")).unwrap(),
            processes: BTreeMap::new(),
            sysctls: BTreeMap::new(),
        };
        let layout = Layout::new(PathBuf::from("/c")).unwrap();
        launch(Setup { cache: &Cache::at("/cache"), layout: &layout, facts: &facts }).args
    }

    #[test]
    fn without_a_node_the_api_server_listens_on_loopback_only() {
        let args = args_of(true, |setup| setup.api_server());
        assert!(args.contains(&"--bind-address=127.0.0.1".into()));
        assert!(args.contains(&"--endpoint-reconciler-type=none".into()));
    }

    #[test]
    fn with_a_node_the_api_server_is_where_pods_reach_it() {
        let args = args_of(false, |setup| setup.api_server());
        assert!(args.contains(&"--bind-address=198.51.100.7".into()));
        assert!(args.contains(&"--advertise-address=198.51.100.7".into()));
    }

    #[test]
    fn nobody_reaches_the_store_without_a_certificate_of_its_own_authority() {
        let args = args_of(true, |setup| setup.etcd());
        assert!(args.contains(&"--client-cert-auth=true".into()));
        assert!(args.contains(&"--trusted-ca-file=/c/pki/etcd-ca.crt".into()));
        assert!(!args.iter().any(|arg| arg.contains("http://")));
    }
}
