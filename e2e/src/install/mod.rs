//! `install`: puts perpro into a cluster. With a node: an image, imported into it, and the charts by helm. Without:
//! the charts without their workloads, and the processes on this machine under the charts' own accounts.

mod helm;
mod host;
mod render;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use self::helm::{CHARTS, Reference};
use crate::cache::Cache;
use crate::cluster::pki::Authority;
use crate::cluster::{self, Cluster};
use crate::command::{command, output};
use crate::images::{self, Image};
use crate::{files, progress};

pub use self::helm::{Helm, folder as chart};
pub use self::host::{HostProcess, HostProcesses, Served};

/// Where perpro is installed.
pub const NAMESPACE: &str = "perpro-system";

/// Installs perpro into a cluster of ours, or brings it up to date with the checkout.
///
/// # Errors
/// When the cluster does not run, or something of perpro does not work; then with what the cluster says about it.
pub async fn into_ours(cache: &Cache, cluster: &Cluster) -> Result<()> {
    let _lock = cluster.lock().await?;
    cluster.check().await.context("the cluster does not work; start it with `e2e/cluster up`")?;
    let helm = Helm::ensure(cache).await?;
    make_namespace(cluster.client().await?).await?;
    if cluster.is_nodeless() {
        return progress::step(
            "install perpro, as processes of this machine",
            on_this_machine(cluster, &helm),
        )
        .await;
    }
    let image = progress::step("build the image and import it", import_image(cache, cluster)).await?;
    let reference = Reference::parse(&image.reference)?;
    let installed = progress::step("install perpro", async {
        forget_interrupted(cluster).await?;
        with_helm(&helm, &cluster.kubeconfig(), &reference).await
    });
    match installed.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(what_the_cluster_says(cluster).await)),
    }
}

/// Installs perpro into the reader's own cluster, with an image that it can get.
///
/// # Errors
/// When no image is named, or something of perpro does not work.
pub async fn into_theirs(cache: &Cache, kubeconfig: &Path, image: Option<&str>) -> Result<()> {
    let Some(image) = image else {
        bail!(
            "say with --image what your cluster shall run. To build it: `docker build -t perpro:dev .`; \
             to load it: `kind load docker-image perpro:dev`, or `k3d image import perpro:dev`, or push it to your \
             registry; then `e2e/cluster install --kubeconfig FILE --image perpro:dev`"
        );
    };
    let reference = Reference::parse(image)?;
    let helm = Helm::ensure(cache).await?;
    make_namespace(cluster::client(kubeconfig).await?).await?;
    progress::step("install perpro", with_helm(&helm, kubeconfig, &reference)).await
}

/// The folder of the checkout that this program was built from.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The product, built together with this program: beside it, or above it where this is a test.
///
/// # Errors
/// When it is in neither place.
pub fn product() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut candidates = own.ancestors().skip(1).take(2).map(|folder| folder.join("perpro"));
    candidates
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("no program `perpro` beside {}: build the whole workspace", own.display()))
}

async fn with_helm(helm: &Helm, kubeconfig: &Path, image: &Reference) -> Result<()> {
    for chart in CHARTS {
        helm.install(kubeconfig, chart, image).await?;
    }
    Ok(())
}

/// A helm that was killed leaves a revision behind that looks as if it were still at work, and the next one refuses to
/// begin. Nobody else is at work: we hold the cluster's lock. What the killed one had made is taken over.
async fn forget_interrupted(cluster: &Cluster) -> Result<()> {
    let mut forget = kubectl(cluster);
    forget.args(["delete", "secrets", "--namespace", NAMESPACE, "--selector"]);
    forget.arg("owner=helm,status in (pending-install,pending-upgrade,pending-rollback)");
    output(&mut forget).await.map(drop)
}

/// Builds the image of perpro and makes it known to the node, also under the name that the chart gives it.
///
/// # Errors
/// When the cluster has no node, or the image cannot be built.
pub async fn image(cache: &Cache, cluster: &Cluster) -> Result<()> {
    let _lock = cluster.lock().await?;
    let image = progress::step("build the image of perpro", import_image(cache, cluster)).await?;
    cluster.tag(&image, concat!("perpro:", env!("CARGO_PKG_VERSION"))).await
}

async fn import_image(cache: &Cache, cluster: &Cluster) -> Result<Image> {
    let built = cluster.layout().images().join("built");
    files::private_dir(&built.join("out"))?;
    fs::copy(product()?, built.join("out/perpro"))?;
    let dockerfile = checkout().join("Dockerfile");
    let image = images::product(cache, "perpro", &dockerfile, &built, &cluster.layout().images()).await?;
    let state = cluster.state()?;
    cluster.setup(state.facts()).import(&image).await?;
    Ok(image)
}

async fn on_this_machine(cluster: &Cluster, helm: &Helm) -> Result<()> {
    let ca = host::write_certificate(cluster, &Authority::new("perpro-e2e-webhook")?)?;
    let ca_bundle = serde_json::to_value(ByteString(ca.into_bytes()))?;
    let address = format!("127.0.0.1:{}", cluster.state()?.facts().ports.webhook);

    apply(cluster, &helm.template("perpro-crds").await?).await?;
    let mut wait = kubectl(cluster);
    wait.args(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
    output(&mut wait).await?;

    let rendered = render::for_this_machine(helm.template("perpro").await?, &address, &ca_bundle);
    apply(cluster, &rendered.before).await?;
    let processes = HostProcesses::of(cluster);
    for process in HostProcess::INSTALLED {
        processes.restart_locked(process, &[]).await?;
    }
    apply(cluster, &rendered.webhooks).await
}

/// Pod Security `restricted` holds for perpro's own namespace, as it does on careful people's clusters.
async fn make_namespace(client: Client) -> Result<()> {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.patch(NAMESPACE, &PatchParams::apply("perpro-e2e"), &Patch::Apply(namespace)).await?;
    Ok(())
}

async fn apply(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let file = cluster.layout().config().join("apply.json");
    files::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    let mut kubectl = kubectl(cluster);
    kubectl.args(["apply", "--server-side", "--force-conflicts", "--field-manager=perpro-e2e", "--filename"]);
    output(kubectl.arg(&file)).await.map(drop)
}

/// kubectl with the administrator's rights.
pub(crate) fn kubectl(cluster: &Cluster) -> tokio::process::Command {
    let mut kubectl = command(cluster.kubectl());
    kubectl.arg("--kubeconfig").arg(cluster.kubeconfig());
    kubectl
}

/// Pods, events and logs of our namespace, for an error message.
async fn what_the_cluster_says(cluster: &Cluster) -> String {
    let questions: [&[&str]; 3] = [
        &["get", "pods", "--output=wide"],
        &["get", "events", "--sort-by=.lastTimestamp"],
        &["logs", "--selector=app.kubernetes.io/name=perpro", "--all-containers", "--prefix", "--tail=10"],
    ];
    let mut said = "perpro does not work in the cluster, which says:".to_owned();
    for question in questions {
        let mut kubectl = kubectl(cluster);
        kubectl.args(["--namespace", NAMESPACE]).args(question);
        let answer = output(&mut kubectl).await.unwrap_or_else(|error| format!("{error:#}"));
        said += &format!("\n{}", crate::command::tail(&answer, crate::command::TAIL));
    }
    said + "\n"
}
