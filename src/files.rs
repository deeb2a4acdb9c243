//! Everything that a build may see of the outside: files, by path.
//!
//! A build never touches the disk itself; it asks [`Files`]. So the same build runs over a working
//! tree, over an unpacked artifact in memory, and over a test's literal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Place, Result};

/// What is at a path, symbolic links followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Something that cannot be read as a file: a pipe, a socket, a device.
    Other,
    /// Nothing.
    Missing,
}

/// A tree of files, addressed by absolute paths.
pub trait Files: Sync {
    /// The content of a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// Where it is missing, is no regular file, is larger than `limit` or cannot be read.
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes>;

    /// What is at `path`.
    fn kind(&self, path: &Path) -> FileKind;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// Where it is no directory or cannot be read.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>>;

    /// `path` with every symbolic link resolved; `None` where nothing is there.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;

    /// Whether a regular file stands at this very path, and no link to one; `false` where that is
    /// not certain. It saves asking where the path leads.
    fn is_plain(&self, _path: &Path) -> bool {
        false
    }

    /// As [`read`](Self::read), where the path [is plain](Self::is_plain); nothing where it is not, or not
    /// for certain.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_plain(&self, path: &Path, limit: usize) -> Result<Option<Bytes>> {
        if self.is_plain(path) { self.read(path, limit).map(Some) } else { Ok(None) }
    }

    /// `path` as the user would type it.
    fn shown(&self, path: &Path) -> Arc<str>;
}

/// The files of this machine.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Paths are shown relative to the first of them that they lie in: the working directory and the
    /// nearest above it.
    around: Vec<Around>,
}

/// A directory that paths are shown relative to.
#[derive(Clone, Debug)]
struct Around {
    directory: PathBuf,
    /// How one types it: empty, or some `..`.
    typed: PathBuf,
}

/// Files in memory: an unpacked artifact, or a test.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    files: BTreeMap<PathBuf, Bytes>,
    directories: BTreeSet<PathBuf>,
}

/// `path` without `.` and `..`, resolved by name alone.
#[must_use]
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) =>
            {
                clean.pop();
            }
            Component::ParentDir if clean.has_root() => {}
            _ => clean.push(part),
        }
    }
    clean
}

fn missing(shown: Arc<str>) -> Error {
    Error::new(ErrorKind::Missing, Place::file(shown), "no such file")
}

fn too_large(shown: Arc<str>, limit: usize) -> Error {
    let message = format!("file is larger than {limit} bytes");
    Error::new(ErrorKind::Limit, Place::file(shown), message)
}

/// How often a file is read that changes meanwhile.
const READS: usize = 3;

/// How files are opened: without waiting, for a pipe that has come to the place of one has no writer.
#[cfg(unix)]
const FLAGS: rustix::fs::OFlags = {
    use rustix::fs::OFlags;
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY)
};

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    Ok(rustix::fs::open(path, FLAGS, rustix::fs::Mode::empty())?.into())
}

/// Opens what stands at this very path; nothing where that is a link or cannot be opened
/// for what it is.
#[cfg(unix)]
fn open_plain(path: &Path) -> std::io::Result<Option<std::fs::File>> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    match rustix::fs::open(path, FLAGS | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// What there is to read, up to one byte more than `limit`.
fn content(file: &mut impl Read, limit: usize) -> std::io::Result<Vec<u8>> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content)?;
    Ok(content)
}

/// The first `size` bytes, or fewer where there are no more.
fn content_of(file: &mut impl Read, size: usize) -> std::io::Result<Vec<u8>> {
    let mut content = vec![0; size];
    let mut end = 0;
    while end < size {
        match file.read(&mut content[end..]) {
            Ok(0) => break,
            Ok(count) => end += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(end);
    Ok(content)
}

/// What an open file is at one time.
#[derive(Debug)]
struct State {
    kind: FileKind,
    bytes: usize,
    /// When it was last written to, as the system counts.
    written: (i128, i128),
}

impl State {
    #[cfg(unix)]
    fn of(file: &std::fs::File) -> std::io::Result<Self> {
        use rustix::fs::FileType;
        let stat = rustix::fs::fstat(file)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        };
        let bytes = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let written = (i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec));
        Ok(Self { kind, bytes, written })
    }

    #[cfg(not(unix))]
    fn of(file: &std::fs::File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        let bytes = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        let modified = metadata.modified().ok();
        let since = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let written = since.map_or((0, 0), |since| {
            (i128::from(since.as_secs()), i128::from(since.subsec_nanos()))
        });
        Ok(Self { kind: file_kind(&metadata), bytes, written })
    }
}

fn file_kind(metadata: &std::fs::Metadata) -> FileKind {
    match () {
        () if metadata.is_file() => FileKind::File,
        () if metadata.is_dir() => FileKind::Directory,
        () => FileKind::Other,
    }
}

impl Disk {
    /// Shows paths relative to `directory`, which is absolute.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        let mut typed = PathBuf::new();
        let around = |directory: &Path| {
            let around = Around { directory: directory.to_path_buf(), typed: typed.clone() };
            typed.push("..");
            around
        };
        Self { around: directory.ancestors().take(4).map(around).collect() }
    }

    fn require_file(&self, path: &Path, kind: FileKind) -> Result<()> {
        let message = match kind {
            FileKind::File => return Ok(()),
            FileKind::Missing => return Err(missing(self.shown(path))),
            FileKind::Directory => "is a directory, not a file",
            FileKind::Other => "is not a regular file",
        };
        Err(Error::new(ErrorKind::Invalid, Place::file(self.shown(path)), message))
    }

    /// The content of an open file; `None` where something wrote to it meanwhile.
    fn read_once(
        &self,
        path: &Path,
        file: &mut std::fs::File,
        before: &State,
        limit: usize,
    ) -> Result<Option<Bytes>> {
        let failed = |error| self.failed(path, &error);
        let size = before.bytes;
        if size > limit {
            return Err(too_large(self.shown(path), limit));
        }
        let content = match size {
            // What the system makes up when it is read says nothing of its size.
            0 => content(file, limit),
            size => content_of(file, size),
        };
        let content = content.map_err(failed)?;
        if content.len() > limit {
            return Err(too_large(self.shown(path), limit));
        }
        let after = State::of(file).map_err(failed)?;
        let is_same =
            (before.bytes, before.written) == (after.bytes, after.written) && content.len() >= size;
        Ok(is_same.then(|| content.into()))
    }

    /// Opens a regular file.
    fn opened(&self, path: &Path) -> Result<(std::fs::File, State)> {
        let failed = |error| self.failed(path, &error);
        let file = open(path).map_err(failed)?;
        let state = State::of(&file).map_err(failed)?;
        // Something else may have come to the path since it was asked for.
        self.require_file(path, state.kind)?;
        Ok((file, state))
    }

    /// The content of what `open` gives, opened anew where something writes to it meanwhile; nothing where it
    /// gives nothing.
    fn steadily(
        &self,
        path: &Path,
        limit: usize,
        open: impl Fn() -> Result<Option<(std::fs::File, State)>>,
    ) -> Result<Option<Bytes>> {
        for _ in 0..READS {
            let Some((mut file, before)) = open()? else { return Ok(None) };
            if let Some(content) = self.read_once(path, &mut file, &before, limit)? {
                return Ok(Some(content));
            }
        }
        let message = "changes while it is read";
        let error = Error::new(ErrorKind::Io, Place::file(self.shown(path)), message);
        Err(error.hint("try again once nothing writes to it"))
    }

    fn failed(&self, path: &Path, error: &std::io::Error) -> Error {
        if error.kind() == std::io::ErrorKind::NotFound {
            return missing(self.shown(path));
        }
        Error::new(ErrorKind::Io, Place::file(self.shown(path)), error.to_string())
    }
}

impl Files for Disk {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        // Asked before it is opened: opening a device may already do something.
        self.require_file(path, self.kind(path))?;
        let content = self.steadily(path, limit, || self.opened(path).map(Some))?;
        // What opens a file gives one, or an error.
        Ok(content.unwrap_or_default())
    }

    #[cfg(unix)]
    fn read_plain(&self, path: &Path, limit: usize) -> Result<Option<Bytes>> {
        let failed = |error| self.failed(path, &error);
        self.steadily(path, limit, || {
            let Some(file) = open_plain(path).map_err(failed)? else { return Ok(None) };
            let before = State::of(&file).map_err(failed)?;
            Ok((before.kind == FileKind::File).then_some((file, before)))
        })
    }

    fn kind(&self, path: &Path) -> FileKind {
        std::fs::metadata(path).as_ref().map_or(FileKind::Missing, file_kind)
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(dir).map_err(|e| self.failed(dir, &e))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(PathBuf::from(entry.map_err(|e| self.failed(dir, &e))?.file_name()));
        }
        names.sort();
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        std::fs::canonicalize(path).ok()
    }

    fn is_plain(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok_and(|m| m.is_file())
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        let shown = |around: &Around| around.shown(path);
        self.around.iter().find_map(shown).unwrap_or_else(|| path.to_string_lossy().into())
    }
}

impl Around {
    /// How one types a path in this directory.
    fn shown(&self, path: &Path) -> Option<Arc<str>> {
        let rest = match below(path, &self.directory) {
            Some(rest) => rest,
            None => path.strip_prefix(&self.directory).ok()?,
        };
        let shown = self.typed.join(rest);
        let shown = if shown.as_os_str().is_empty() { Path::new(".") } else { &shown };
        Some(shown.to_string_lossy().into())
    }
}

/// What `path` is below `directory`, where that is seen without taking both apart.
fn below<'a>(path: &'a Path, directory: &Path) -> Option<&'a Path> {
    let (path, directory) = (path.to_str()?, directory.to_str()?);
    let rest = path.strip_prefix(directory)?;
    let rest = if directory.ends_with('/') { rest } else { rest.strip_prefix('/')? };
    let is_plain = |end: Option<char>| end.is_some_and(|end| end != '/' && end != '.');
    (is_plain(rest.chars().next()) && is_plain(rest.chars().next_back())).then(|| Path::new(rest))
}

impl Memory {
    /// The bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.files.values().map(Bytes::len).sum()
    }

    /// The files with their contents, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Bytes)> {
        self.files.iter().map(|(path, content)| (path.as_path(), content))
    }

    /// Adds a file; its path is taken from the root of the tree, and its directories come with it.
    pub fn insert(&mut self, path: impl AsRef<Path>, content: impl Into<Bytes>) {
        let path = clean(&Path::new("/").join(path));
        self.directories.extend(path.ancestors().skip(1).map(Path::to_path_buf));
        self.files.insert(path, content.into());
    }

    /// Adds a directory.
    pub fn insert_directory(&mut self, path: impl AsRef<Path>) {
        let path = clean(&Path::new("/").join(path));
        self.directories.extend(path.ancestors().map(Path::to_path_buf));
    }
}

impl Files for Memory {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        let content = self.files.get(path).ok_or_else(|| missing(self.shown(path)))?;
        if content.len() > limit {
            return Err(too_large(self.shown(path), limit));
        }
        Ok(content.clone())
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.files.contains_key(path) {
            FileKind::File
        } else if self.directories.contains(path) {
            FileKind::Directory
        } else {
            FileKind::Missing
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        if self.kind(dir) != FileKind::Directory {
            return Err(missing(self.shown(dir)));
        }
        // Paths are ordered by their parts: what lies below a directory follows it without a gap.
        let below = (Bound::Excluded(dir), Bound::Unbounded);
        let within = |path: &&PathBuf| path.starts_with(dir);
        let inside = |path: &&PathBuf| path.parent() == Some(dir);
        let names = |path: &PathBuf| path.file_name().map(PathBuf::from);
        let files = self.files.range::<Path, _>(below).map(|(path, _)| path).take_while(within);
        let directories = self.directories.range::<Path, _>(below).take_while(within);
        let mut list: Vec<_> = files.chain(directories).filter(inside).filter_map(names).collect();
        list.sort();
        Ok(list)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let path = clean(path);
        (self.kind(&path) != FileKind::Missing).then_some(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        let shown = path.strip_prefix("/").unwrap_or(path);
        let shown = if shown.as_os_str().is_empty() { Path::new(".") } else { shown };
        shown.to_string_lossy().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_paths_by_name() {
        assert_eq!(clean(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(clean(Path::new("/../a")), Path::new("/a"));
        assert_eq!(clean(Path::new("../a/..")), Path::new(".."));
    }

    #[test]
    fn reads_no_more_than_the_limit() {
        let mut files = Memory::default();
        files.insert("a/b.yaml", "12345");
        assert_eq!(files.read(Path::new("/a/b.yaml"), 5).expect("small enough").len(), 5);
        let error = files.read(Path::new("/a/b.yaml"), 4).expect_err("too large");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[cfg(unix)]
    #[test]
    fn what_came_to_the_place_of_a_file_is_not_waited_for() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a pipe");
        let disk = Disk::new(directory.path().to_owned());
        // As if it had been a file when it was asked for.
        let error = disk.opened(&path).expect_err("a pipe");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(disk.opened(directory.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_files_themselves_are_plain() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| directory.path().join(name);
        let disk = Disk::new(directory.path().to_owned());
        std::fs::write(at("file"), "text").expect("a file");
        std::os::unix::fs::symlink("file", at("link")).expect("a link");
        std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), kind, mode, 0).expect("a pipe");
        let plain = |name: &str| disk.read_plain(&at(name), 4).expect("no failure");
        assert_eq!(plain("file").as_deref(), Some(&b"text"[..]));
        for name in ["link", "socket", "pipe", ".", "missing", "file/below"] {
            assert_eq!(plain(name), None, "{name}");
        }
        assert_eq!(
            disk.read_plain(&at("file"), 3).expect_err("too large").kind(),
            ErrorKind::Limit
        );
    }

    #[test]
    fn lists_one_directory() {
        let mut files = Memory::default();
        files.insert("a/b.yaml", "");
        files.insert("a/c/d.yaml", "");
        let names = files.list(Path::new("/a")).expect("a directory");
        assert_eq!(names, [PathBuf::from("b.yaml"), PathBuf::from("c")]);
    }

    #[test]
    fn shows_paths_as_they_would_be_typed() {
        let disk = Disk::new("/home/me/repo/overlays".into());
        assert_eq!(&*disk.shown(Path::new("/home/me/repo/overlays/prod")), "prod");
        assert_eq!(&*disk.shown(Path::new("/home/me/repo/base")), "../base");
    }
}
