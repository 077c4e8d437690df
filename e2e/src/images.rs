//! Container images, made without Docker and without a registry: buildah with a storage folder of its own, which is
//! removed again.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::cache::Cache;
use crate::command::{command, find, output};
use crate::packages::{self, Package};
use crate::{files, programs, progress};

const PAUSE_SOURCE: &str = include_str!("../images/pause/main.go");
const PAUSE_DOCKERFILE: &str = include_str!("../images/pause/Dockerfile");

/// An image in an archive.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name with tag. Registry `localhost` keeps anyone from looking for it elsewhere.
    pub reference: String,
    /// The archive, as `docker save` writes it.
    pub archive: PathBuf,
}

/// The image of the first process of every pod, built unless the cache has it.
///
/// # Errors
/// When it cannot be built.
pub async fn pause(cache: &Cache) -> Result<Image> {
    let mut hasher = DefaultHasher::new();
    (PAUSE_SOURCE, PAUSE_DOCKERFILE).hash(&mut hasher);
    let tag = format!("{:016x}", hasher.finish());
    let reference = format!("localhost/perpro-pause:{tag}");
    let archive = cache.programs().join(format!("pause-{tag}.tar"));
    if !archive.exists() {
        progress::step("build the pause image", async {
            let scratch = Scratch::new(cache)?;
            let source = scratch.folder.join("main.go");
            files::write(&source, PAUSE_SOURCE)?;
            files::write(&scratch.folder.join("Dockerfile"), PAUSE_DOCKERFILE)?;
            let context = scratch.folder.join("context");
            files::private_dir(&context)?;
            programs::build_single_file(&source, &context.join("pause")).await?;
            let id = build(&scratch, &scratch.folder.join("Dockerfile"), &context, None).await?;
            save(&scratch, &id, &reference, &archive).await
        })
        .await?;
    }
    Ok(Image { reference, archive })
}

/// Builds an image named `name` from a Dockerfile. The stage called `build` is replaced by the folder `built`: the
/// same Dockerfile compiles from source where images can be pulled, and takes what is compiled already here.
/// The tag comes from the content, so that an unchanged image keeps its name and a changed one gets another.
///
/// # Errors
/// When buildah is missing or fails.
pub async fn product(cache: &Cache, name: &str, dockerfile: &Path, built: &Path, to: &Path) -> Result<Image> {
    packages::ensure(&[Package::Buildah]).await?;
    let scratch = Scratch::new(cache)?;
    let context = scratch.folder.join("context");
    files::private_dir(&context)?;
    let id = build(&scratch, dockerfile, &context, Some(built)).await?;
    let tag = id.trim_start_matches("sha256:").get(..12).context("buildah gave no image id")?;
    let reference = format!("localhost/{name}:{tag}");
    files::private_dir(to)?;
    let archive = to.join(format!("{name}-{tag}.tar"));
    if !archive.exists() {
        save(&scratch, &id, &reference, &archive).await?;
    }
    Ok(Image { reference, archive })
}

/// buildah's storage and the files of one build; removed at its end.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new(cache: &Cache) -> Result<Self> {
        for left in std::fs::read_dir(cache.root()).into_iter().flatten().flatten() {
            let name = left.file_name().to_string_lossy().into_owned();
            // Of a build that was killed.
            if name.strip_prefix("image-").is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                files::remove_dir(&left.path())?;
            }
        }
        let folder = cache.root().join(format!("image-{}", std::process::id()));
        files::remove_dir(&folder)?;
        files::private_dir(&folder)?;
        Ok(Self { folder })
    }

    fn buildah(&self) -> Result<Command> {
        let program =
            find("buildah").context("buildah is missing; install the Debian package of that name")?;
        let mut buildah = command(program);
        buildah.args(["--storage-driver", "vfs", "--root"]).arg(self.folder.join("storage"));
        buildah.arg("--runroot").arg(self.folder.join("run"));
        Ok(buildah)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(files::remove_dir(&self.folder));
    }
}

/// The id of the built image. Its times are zero, so that equal content has an equal id.
async fn build(scratch: &Scratch, dockerfile: &Path, context: &Path, built: Option<&Path>) -> Result<String> {
    let id_file = scratch.folder.join("id");
    let mut buildah = scratch.buildah()?;
    buildah.args(["build", "--isolation", "chroot", "--timestamp", "0", "--iidfile"]).arg(&id_file);
    if let Some(built) = built {
        buildah.arg("--build-context").arg(format!("build={}", built.display()));
    }
    buildah.arg("--file").arg(dockerfile).arg(context);
    output(&mut buildah).await?;
    Ok(fs::read_to_string(id_file)?.trim().to_owned())
}

/// Writes the archive beside its final name first: a half one must not look whole.
async fn save(scratch: &Scratch, id: &str, reference: &str, archive: &Path) -> Result<()> {
    let part = scratch.folder.join("image.tar");
    let target = format!("docker-archive:{}:{reference}", part.display());
    output(scratch.buildah()?.args(["push", "--quiet", id, &target])).await?;
    Ok(fs::rename(part, archive)?)
}
