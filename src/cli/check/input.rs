//! Files, folders and standard input as manifests.

use crate::manifest::{self, Manifest, Problem};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A larger file is no manifest: an API server takes objects of 3 MB at most.
const MAX_BYTES: u64 = 64 << 20;
/// What a folder is searched for.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// How standard input is called.
const STDIN: &str = "stdin";

/// Line of a problem that is not in a file, but is the file itself.
pub(super) const WHOLE: u32 = 0;

/// All that is to be checked.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) files: Vec<File>,
}

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// As the person named it.
    pub(super) name: String,
    /// What it says, for showing its lines.
    pub(super) text: String,
    pub(super) manifest: Manifest,
}

impl Input {
    /// Reads them; what can't be read is told, and the others are read all the same.
    pub(super) fn read(paths: &[PathBuf], exclude: &[PathBuf]) -> Self {
        let mut found = Found::default();
        found.excluded.extend(exclude.iter().filter_map(|path| path.canonicalize().ok()));
        let mut sources = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                sources.push(Source::Stdin);
                continue;
            }
            found.search(path, true);
            sources.extend(found.files.drain(..).map(Source::File));
            sources.extend(found.problems.drain(..).map(|(path, error)| Source::Unreadable(path, error)));
        }
        Self { files: read_all(sources) }
    }
}

/// Where a file comes from.
#[derive(Debug)]
enum Source {
    Stdin,
    File(PathBuf),
    Unreadable(PathBuf, std::io::Error),
}

impl Source {
    fn read(self) -> File {
        match self {
            Self::Stdin => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes);
                File::new(STDIN.to_owned(), read.map(|_| bytes))
            }
            Self::File(path) => File::new(path.display().to_string(), bytes(&path)),
            Self::Unreadable(path, error) => File::new(path.display().to_string(), Err(error)),
        }
    }
}

/// Reads them on all cores, in their order: most of the work is to parse.
fn read_all(sources: Vec<Source>) -> Vec<File> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(sources.len());
    let queue = Mutex::new(sources.into_iter().enumerate());
    let next = || queue.lock().ok()?.next();
    let work = || -> Vec<(usize, File)> {
        std::iter::from_fn(next).map(|(nth, source)| (nth, source.read())).collect()
    };
    let mut files = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let read =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        read.flatten().collect::<Vec<_>>()
    });
    files.sort_by_key(|(nth, _)| *nth);
    files.into_iter().map(|(_, file)| file).collect()
}

/// At most so much that it is seen to be too much.
fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl File {
    pub(super) fn new(name: String, read: std::io::Result<Vec<u8>>) -> Self {
        let problem =
            |what: String| Manifest { problems: vec![Problem { line: WHOLE, what }], ..Manifest::default() };
        match read {
            Ok(bytes) if bytes.len() as u64 > MAX_BYTES => {
                let manifest = problem(format!("it is larger than {} MB", MAX_BYTES >> 20));
                Self { name, text: String::new(), manifest }
            }
            Ok(bytes) => {
                let manifest = manifest::read(&bytes).unpacked();
                let text = String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                Self { name, text, manifest }
            }
            Err(error) => Self { name, text: String::new(), manifest: problem(error.to_string()) },
        }
    }
}

/// The files of folders.
#[derive(Default)]
struct Found {
    excluded: BTreeSet<PathBuf>,
    /// Folders that were entered: links may lead back to one.
    entered: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    problems: Vec<(PathBuf, std::io::Error)>,
}

impl Found {
    /// Adds a file, or all manifests in a folder. `named`: by the person, so that its name does not matter.
    fn search(&mut self, path: &Path, named: bool) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            // What a shell hands over, `<(helm template ...)`, has no other name.
            Err(_) if named && path.exists() => return self.files.push(path.to_owned()),
            Err(error) if named => return self.problems.push((path.to_owned(), error)),
            // A link that leads nowhere, in a folder of many things.
            Err(_) => return,
        };
        if self.excluded.contains(&real) {
            return;
        }
        if !real.is_dir() {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            // Nothing but files in folders: reading a pipe would wait for somebody.
            if named || (EXTENSIONS.contains(&extension) && real.is_file()) {
                self.files.push(path.to_owned());
            }
            return;
        }
        if !self.entered.insert(real) {
            return;
        }
        let entries = fs::read_dir(path).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        match entries {
            Ok(mut entries) => {
                entries.sort_by_key(fs::DirEntry::file_name);
                let shown = entries.iter().filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
                for entry in shown {
                    self.search(&entry.path(), false);
                }
            }
            Err(error) => self.problems.push((path.to_owned(), error)),
        }
    }
}
