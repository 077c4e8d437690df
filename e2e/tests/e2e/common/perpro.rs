//! The product's command line, as a person runs it: the real program with the cluster's kubeconfig.

use super::World;
use perpro_e2e::command::command;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    /// Runs `perpro` in the world's namespace, without a terminal.
    pub async fn perpro(&self, args: &[&str]) -> Said {
        self.perpro_with(&self.cluster.kubeconfig(), args).await
    }

    /// The same with the cluster's kubeconfig after `change`.
    pub async fn perpro_changed(&self, change: impl FnOnce(&mut Value), args: &[&str]) -> Said {
        let file = self.cluster.kubeconfig().with_file_name(format!("{}.kubeconfig", self.namespace));
        let mut kubeconfig =
            serde_yaml::from_str(&fs::read_to_string(self.cluster.kubeconfig()).unwrap()).unwrap();
        change(&mut kubeconfig);
        fs::write(&file, kubeconfig.to_string()).unwrap();
        let said = self.perpro_with(&file, args).await;
        fs::remove_file(file).unwrap();
        said
    }

    async fn perpro_with(&self, kubeconfig: &Path, args: &[&str]) -> Said {
        let own = std::env::current_exe().unwrap();
        let program = own.ancestors().nth(2).unwrap().join("perpro");
        let mut perpro = command(program);
        perpro.env("KUBECONFIG", kubeconfig).env_remove("PERPRO_CRASH_AT");
        perpro.args(args).stdin(Stdio::null());
        let output = perpro.output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
