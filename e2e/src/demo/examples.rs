//! What stands in `examples/`: the image of its programs, its manifests, and its pods that are refused.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::command::output;
use crate::install::{checkout, kubectl};
use crate::{files, images, programs};

/// The image's name in the manifests.
const NAME: &str = "perpro-examples";
const TAG: &str = "dev";

/// Builds the image and makes it known to the node, under its name in the manifests, and under one that changes with
/// its content.
pub(crate) async fn image(cache: &Cache, cluster: &Cluster) -> Result<String> {
    let _lock = cluster.lock().await?;
    let built = cluster.layout().images().join("examples");
    files::private_dir(&built.join("out"))?;
    let source = folder().join("agents");
    programs::build_module(&source, &["./cmd/..."], &built.join("out")).await?;
    let dockerfile = source.join("Dockerfile");
    let image = images::product(cache, NAME, &dockerfile, &built, &cluster.layout().images()).await?;
    cluster.import(&image).await?;

    let (_, content) = image.reference.rsplit_once(':').context("an image has a tag")?;
    for tag in [TAG, content] {
        cluster.tag(&image, &format!("{NAME}:{tag}")).await?;
    }
    Ok(format!("{NAME}:{content}"))
}

/// Applies policy and agents. They run this image by the name that changes with its content, so that a changed
/// program replaces running pods, and an unchanged one leaves them.
pub(crate) async fn apply(cluster: &Cluster, image: &str) -> Result<()> {
    let mut manifests = vec![folder().join("policy.yaml")];
    for agent in ["support", "billing"] {
        manifests.extend(sorted(&folder().join(agent))?);
    }
    let texts = manifests.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let file = cluster.layout().config().join("examples.yaml");
    files::write(&file, texts.join("---\n").replace(&format!("{NAME}:{TAG}"), image))?;
    output(kubectl(cluster).args(["apply", "--filename"]).arg(&file)).await.map(drop)
}

/// A pod that is to be refused.
pub(crate) fn refused(name: &str) -> Result<Pod> {
    let path = folder().join("refused").join(name);
    serde_yaml::from_str(&read(&path)?).with_context(|| format!("{} is no pod", path.display()))
}

fn folder() -> PathBuf {
    checkout().join("examples")
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_that_names_the_image_names_it_as_we_replace_it() {
        for path in ["support", "billing"].map(|agent| folder().join(agent).join("4-deployment.yaml")) {
            let text = read(&path).unwrap();
            assert_eq!(text.matches("image:").count(), text.matches("image: perpro-examples:dev\n").count());
        }
    }

    #[test]
    fn refused_pods_are_pods() {
        for path in sorted(&folder().join("refused")).unwrap() {
            refused(&path.file_name().unwrap().to_string_lossy()).unwrap();
        }
    }
}
