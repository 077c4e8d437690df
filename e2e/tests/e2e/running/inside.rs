//! What the tests with real pods share: an image, a namespace with something to read, and what a container says of
//! itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use perpro_core::names;
use perpro_e2e::cache::Cache;
use perpro_e2e::cluster::Cluster;
use perpro_e2e::command::{command, output};
use perpro_e2e::wait::{self, Probe};
use perpro_e2e::{images, programs};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::common::{World, account_of, when};

/// Longest wait for a pod to run, also when the machine has much to do.
pub const START: Duration = Duration::from_secs(120);

/// What Secret `crm` holds under `key`.
pub const CRM_KEY: &str = "open-sesame";

/// All that a container can see of its environment.
#[derive(Debug, Deserialize)]
pub struct Holdings {
    pub env: BTreeMap<String, String>,
    pub files: BTreeSet<String>,
    pub mounts: BTreeSet<String>,
}

impl Holdings {
    /// Files that neither the image nor the kubelet brings to every container; its links into folders of its own aside.
    pub fn own_files(&self) -> BTreeSet<&str> {
        let usual = ["/probe", "/kubectl", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
        let own = |file: &&str| !usual.contains(file) && !file.contains("/..");
        self.files.iter().map(String::as_str).filter(own).collect()
    }

    /// Exactly what the usual identity lists for container `agent`: one key, and the token where client libraries look.
    pub fn are_those_of_the_agent(&self) {
        assert_eq!(self.env["CRM_KEY"], CRM_KEY);
        let secrets = |mount: &&str| mount.contains("secrets");
        let mounts: BTreeSet<_> = self.mounts.iter().map(String::as_str).filter(secrets).collect();
        assert_eq!(mounts, BTreeSet::from([names::SECRETS_DIR, names::TOKEN_DIR]));
        let token = |name: &str| format!("{}/{name}", names::TOKEN_DIR);
        let [authority, namespace, token] = ["ca.crt", "namespace", "token"].map(token);
        let listed = ["/run/secrets/perpro.dev/crm", &*authority, &*namespace, &*token];
        assert_eq!(self.own_files(), BTreeSet::from(listed));
        let unlisted = self.env.values().any(|value| value.contains("not for agents"));
        assert!(!unlisted, "keys that are not listed stay away");
    }

    /// Nothing, as befits a container that the identity does not list.
    pub fn are_none(&self) {
        assert_eq!(self.own_files(), BTreeSet::new());
        assert!(!self.mounts.iter().any(|mount| mount.contains("secrets")), "{:?}", self.mounts);
        assert!(!self.env.values().any(|value| value.contains(CRM_KEY)));
    }
}

/// A governed namespace with Secret `crm` and ConfigMap `feedback`, on a cluster that has the image.
pub async fn world() -> World {
    static IMAGE: OnceCell<()> = OnceCell::const_new();
    let world = World::new("all").await;
    IMAGE.get_or_init(|| import_image(&world.cluster)).await;
    create::<Secret>(
        &world,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm"},
        "stringData": {"key": CRM_KEY, "admin-key": "not for agents"}}),
    )
    .await;
    create::<ConfigMap>(
        &world,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "feedback"},
        "data": {"a": "b"}}),
    )
    .await;
    world
}

async fn import_image(cluster: &Cluster) {
    let cache = Cache::from_env().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/probe");
    let built = cluster.layout().images().join("probe");
    std::fs::create_dir_all(built.join("out")).unwrap();
    programs::build_single_file(&source.join("main.go"), &built.join("out/probe")).await.unwrap();
    std::fs::copy(cluster.kubectl(), built.join("out/kubectl")).unwrap();
    let dockerfile = source.join("Dockerfile");
    let to = cluster.layout().images();
    let image = images::product(&cache, "perpro-tests", &dockerfile, &built, &to).await.unwrap();
    cluster.import(&image).await.unwrap();
    let mut tag = cluster.ctr().unwrap();
    tag.args(["images", "tag", "--force", &image.reference, "docker.io/library/perpro-tests:latest"]);
    output(&mut tag).await.unwrap();
}

/// Creates an object of the namespace.
pub async fn create<K>(world: &World, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + DeserializeOwned,
{
    let api = Api::<K>::namespaced(world.client.clone(), &world.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

/// Waits longer than `World::eventually`: for what the kubelet has to do.
pub async fn in_time<T>(what: &str, probe: impl AsyncFnMut() -> Probe<T>) -> T {
    wait::until(what, START, probe).await.unwrap_or_else(|e| panic!("{e:#}"))
}

/// Waits until a pod runs with all its containers.
pub async fn runs(world: &World, name: &str) -> Pod {
    in_time(&format!("{name} should run"), async || {
        let pod = world.pods().get(name).await.unwrap();
        if is_ready(&pod) { wait::ready(pod) } else { wait::not_yet(format!("{:?}", pod.status)) }
    })
    .await
}

/// Whether all containers of a pod are ready, and it is not about to end.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.filter(|one| one.type_ == "Ready" && one.status == "True").count() == 1;
    ready && pod.metadata.deletion_timestamp.is_none()
}

/// The account of a pod exists and is pinned to its UID.
pub async fn is_pinned(world: &World, pod: &Pod) -> bool {
    let account = world.accounts().get(&account_of(pod)).await.unwrap();
    let owner = account.owner_references().first();
    owner.is_some_and(|owner| owner.kind == "Pod" && Some(&owner.uid) == pod.uid().as_ref())
}

/// Runs a program in a container, and returns what it printed or why it failed.
pub async fn exec(world: &World, pod: &str, container: &str, program: &[&str]) -> Result<String, String> {
    let mut kubectl = command(world.cluster.kubectl());
    kubectl.arg("--kubeconfig").arg(world.cluster.kubeconfig());
    kubectl.args(["exec", "--namespace", &world.namespace, pod, "--container", container, "--"]);
    output(kubectl.args(program)).await.map_err(|error| format!("{error:#}"))
}

/// What a container says that it holds.
pub async fn holdings(world: &World, pod: &str, container: &str) -> Holdings {
    let said = exec(world, pod, container, &["/probe", "holdings"]).await.unwrap();
    serde_json::from_str(&said).unwrap()
}

/// What a container whose program is `tell` or `holdings` held at its start.
pub async fn told(world: &World, pod: &str, container: &str) -> Holdings {
    let params = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    let what = format!("{container} of {pod} should tell");
    let log = in_time(&what, async || match world.pods().logs(pod, &params).await {
        Ok(log) if log.ends_with('\n') => wait::ready(log),
        other => wait::not_yet(format!("{other:?}")),
    });
    serde_json::from_str(&log.await).unwrap()
}

/// A client that has nothing but this token.
pub async fn with_token(world: &World, token: String) -> Client {
    let read = Kubeconfig::read_from(world.cluster.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Client::try_from(config).unwrap()
}

/// Waits until nothing is left of an account's power.
pub async fn power_ends(world: &World, account: &str) {
    world
        .eventually("its power should end", async || {
            when(!world.may(account, "get", "configmaps").await, "it may read ConfigMaps")
        })
        .await;
}

/// Ends the namespace and its pods; a test that fails leaves them to be looked at.
pub async fn end(world: World) {
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(world.client.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
}
