//! helm, pointed at one cluster, with folders of its own: the person's repositories and settings play no part.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::NAMESPACE;
use crate::cache::Cache;
use crate::command::{command, output};
use crate::programs::Program;

/// The charts, in the order in which they are installed.
pub(crate) const CHARTS: [&str; 2] = ["perpro-crds", "perpro"];

/// Where an image is and what it is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    repository: String,
    tag: String,
}

impl Reference {
    /// Splits `repository:tag`. A port in the registry's name is no tag. For `repository@sha256:digest` the two
    /// parts, joined by a colon again, are the same reference.
    pub(crate) fn parse(reference: &str) -> Result<Self> {
        let split = reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (repository, tag) =
            split.with_context(|| format!("{reference} has no tag; name one, as in name:tag"))?;
        Ok(Self { repository: repository.into(), tag: tag.into() })
    }

    fn values(&self) -> [String; 3] {
        [
            format!("image.repository={}", self.repository),
            format!("image.tag={}", self.tag),
            "image.pullPolicy=IfNotPresent".into(),
        ]
    }
}

/// helm in the cache.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// Builds it unless it is there.
    ///
    /// # Errors
    /// When it cannot be built.
    pub async fn ensure(cache: &Cache) -> Result<Self> {
        Ok(Self { program: Program::helm().ensure(cache).await?, home: cache.root().join("helm") })
    }

    /// Runs it on the cluster of a kubeconfig, and returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub async fn run(&self, kubeconfig: &Path, args: &[&str]) -> Result<String> {
        output(self.command().args(args).arg("--kubeconfig").arg(kubeconfig)).await
    }

    /// Installs a chart or upgrades it, and waits until all of it works.
    pub(crate) async fn install(&self, kubeconfig: &Path, chart: &str, image: &Reference) -> Result<()> {
        let mut helm = self.command();
        helm.args(["upgrade", "--install", chart]).arg(folder(chart)).arg("--kubeconfig").arg(kubeconfig);
        helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "3m"]);
        if chart == "perpro" {
            helm.args(image.values().iter().flat_map(|value| ["--set", value]));
        }
        output(&mut helm).await.map(drop)
    }

    /// The objects of a chart; those that only serve its installation are left out.
    pub(crate) async fn template(&self, chart: &str) -> Result<Vec<Value>> {
        let mut helm = self.command();
        helm.args(["template", chart]).arg(folder(chart)).args(["--namespace", NAMESPACE, "--no-hooks"]);
        let rendered = output(&mut helm).await?;
        let documents = serde_yaml::Deserializer::from_str(&rendered);
        let objects = documents.map(|document| Ok(Value::deserialize(document)?)).collect::<Result<Vec<_>>>();
        Ok(objects
            .with_context(|| format!("{chart} renders no YAML"))?
            .into_iter()
            .filter(Value::is_object)
            .collect())
    }

    fn command(&self) -> tokio::process::Command {
        let mut helm = command(&self.program);
        helm.env_remove("KUBECONFIG");
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(name, &self.home);
        }
        helm
    }
}

/// The folder of one of perpro's charts.
pub fn folder(chart: &str) -> PathBuf {
    super::checkout().join("charts").join(chart)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(reference: &str) -> Option<(String, String)> {
        Reference::parse(reference).ok().map(|parsed| (parsed.repository, parsed.tag))
    }

    #[test]
    fn a_port_is_no_tag() {
        assert_eq!(parsed("perpro:dev"), Some(("perpro".into(), "dev".into())));
        assert_eq!(
            parsed("registry.test:5000/perpro:1"),
            Some(("registry.test:5000/perpro".into(), "1".into()))
        );
        assert_eq!(parsed("registry.test:5000/perpro"), None);
        assert_eq!(parsed("perpro@sha256:ab"), Some(("perpro@sha256".into(), "ab".into())));
    }
}
