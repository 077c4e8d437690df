//! `perpro crds`

use anyhow::Context;
use perpro_core::api;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write one file per kind into this folder instead of printing them.
    #[arg(long)]
    out_dir: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        for definition in api::definitions() {
            let yaml = serde_yaml::to_string(&definition)?;
            let Some(dir) = &self.out_dir else {
                super::output::print(&format!("---\n{yaml}"))?;
                continue;
            };
            let file = dir.join(format!("{}.yaml", definition.spec.names.plural));
            std::fs::write(&file, yaml).with_context(|| format!("can't write {}", file.display()))?;
        }
        Ok(())
    }
}
