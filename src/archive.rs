//! Archives as Flux's source-controller publishes them, unpacked into memory.
//!
//! An archive comes from whoever may write to a source, so it is read as hostile: every byte that the
//! decompressor produces is counted, nothing is followed, and what two readers of the format could
//! understand differently is refused. What is accepted is what Flux accepts of its own archives.
//!
//! Source of the rules: fluxcd/pkg `tar/untar.go`, with `WithSkipSymlinks` as kustomize-controller sets it.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use tar::{Entry, EntryType};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, Memory};

/// How much an archive may unpack to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes that the decompressor may produce: contents, headers and padding.
    pub bytes: u64,
    /// Entries, whatever they are.
    pub entries: usize,
    /// Bytes of one entry's path.
    pub path_bytes: usize,
}

impl Limits {
    /// For the admission webhook: 100 MiB are Flux's own default, the rest is far above any repository.
    pub const WEBHOOK: Self = Self { bytes: 100 << 20, entries: 50_000, path_bytes: 1024 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::WEBHOOK
    }
}

/// The files of a gzip-compressed tar archive.
///
/// Symbolic links are skipped, modes and owners ignored; of two entries with one path the last counts.
///
/// # Errors
/// Where it is no such archive, exceeds a limit, holds an entry that is neither file, directory nor
/// symbolic link, or a path that is absolute, climbs, is not UTF-8 or holds `\` or NUL.
pub fn unpack(archive: &[u8], limits: &Limits) -> Result<Memory> {
    let counted = Counted { inner: MultiGzDecoder::new(archive), left: limits.bytes };
    let mut tar = tar::Archive::new(counted);
    let mut files = Memory::default();
    files.insert_directory("/");
    let entries = tar.entries().map_err(|error| unreadable(&error, limits))?;
    for (index, entry) in entries.enumerate() {
        if index >= limits.entries {
            let message = format!("holds more than {} entries", limits.entries);
            return Err(refused(ErrorKind::Limit, message));
        }
        add(&mut files, entry.map_err(|error| unreadable(&error, limits))?, limits)?;
    }
    Ok(files)
}

fn add(files: &mut Memory, mut entry: Entry<'_, impl Read>, limits: &Limits) -> Result<()> {
    let kind = entry.header().entry_type();
    if kind == EntryType::XGlobalHeader {
        // `git archive` writes its commit there; it describes no file.
        return Ok(());
    }
    let path = path(&entry, limits)?;
    check_extensions(&mut entry, &path)?;
    match kind {
        EntryType::Symlink => Ok(()),
        EntryType::Directory => add_directory(files, &path),
        // Before POSIX a directory was a file whose name ends with a slash.
        EntryType::Regular if path.ends_with('/') => add_directory(files, &path),
        EntryType::Regular => add_file(files, &path, &mut entry, limits),
        // Flux's reader takes a hard link for an empty file; its writer never makes one.
        EntryType::Link => Err(at(&path, ErrorKind::Forbidden, "is a hard link")),
        _ => Err(at(&path, ErrorKind::Forbidden, "is neither a file nor a directory")),
    }
}

fn add_directory(files: &mut Memory, path: &str) -> Result<()> {
    no_file_above(files, path)?;
    if files.kind(&absolute(path)) == FileKind::File {
        return Err(at(path, ErrorKind::Invalid, "is a file and a directory"));
    }
    files.insert_directory(path);
    Ok(())
}

fn add_file(
    files: &mut Memory,
    path: &str,
    entry: &mut Entry<'_, impl Read>,
    limits: &Limits,
) -> Result<()> {
    no_file_above(files, path)?;
    if files.kind(&absolute(path)) == FileKind::Directory {
        return Err(at(path, ErrorKind::Invalid, "is a file and a directory"));
    }
    let size = entry.size();
    let mut content = Vec::new();
    // Grows with what arrives, never with what the header claims.
    entry.read_to_end(&mut content).map_err(|error| unreadable(&error, limits))?;
    if u64::try_from(content.len()) != Ok(size) {
        return Err(at(path, ErrorKind::Invalid, "is cut short"));
    }
    content.shrink_to_fit();
    files.insert(path, content);
    Ok(())
}

/// A path under a file cannot be: on disk, Flux fails there.
fn no_file_above(files: &Memory, path: &str) -> Result<()> {
    let is_file = |above| files.kind(above) == FileKind::File;
    if absolute(path).ancestors().skip(1).any(is_file) {
        return Err(at(path, ErrorKind::Invalid, "lies below a file"));
    }
    Ok(())
}

fn absolute(path: &str) -> std::path::PathBuf {
    crate::files::clean(&std::path::Path::new("/").join(path))
}

/// The entry's path, safe to join to a root.
fn path(entry: &Entry<'_, impl Read>, limits: &Limits) -> Result<String> {
    let bytes = entry.path_bytes();
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(limits.path_bytes)]).into_owned();
    if bytes.len() > limits.path_bytes {
        let message = format!("has a path of more than {} bytes", limits.path_bytes);
        return Err(at(&shown, ErrorKind::Limit, message));
    }
    let Ok(path) = std::str::from_utf8(&bytes) else {
        return Err(at(&shown, ErrorKind::Invalid, "has a path that is not UTF-8"));
    };
    if path.is_empty() || path.contains(['\\', '\0']) {
        return Err(at(path, ErrorKind::Invalid, "has an invalid path"));
    }
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(at(path, ErrorKind::Forbidden, "has a path that leaves the archive"));
    }
    Ok(path.to_owned())
}

/// Refuses extended headers on which readers disagree: they would see different files in one archive.
///
/// Source: CVE-2025-62518, where one reader skipped by the extended size and another by the plain one.
fn check_extensions(entry: &mut Entry<'_, impl Read>, path: &str) -> Result<()> {
    let plain = entry.header().entry_size().ok();
    let invalid = || at(path, ErrorKind::Invalid, "has an extended header that is invalid");
    let Some(extensions) = entry.pax_extensions().map_err(|_| invalid())? else {
        return Ok(());
    };
    for extension in extensions {
        let extension = extension.map_err(|_| invalid())?;
        let value = extension.value().map_err(|_| invalid())?;
        let key = extension.key().map_err(|_| invalid())?;
        if key.starts_with("GNU.sparse.") {
            return Err(at(path, ErrorKind::Forbidden, "is a sparse file"));
        }
        if key == "size" && value.parse().ok() != plain {
            return Err(at(path, ErrorKind::Invalid, "has two sizes"));
        }
    }
    Ok(())
}

fn at(path: &str, kind: ErrorKind, message: impl Into<String>) -> Error {
    // Names are hostile too: no control characters reach a terminal.
    let shown: String = path.chars().take(200).flat_map(char::escape_debug).collect();
    Error::new(kind, Place::file(shown), message)
}

fn refused(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, Place::file("archive"), message)
}

fn unreadable(error: &io::Error, limits: &Limits) -> Error {
    if is_exceeded(error) {
        let message = format!("unpacks to more than {} bytes", limits.bytes);
        return refused(ErrorKind::Limit, message);
    }
    let message: String =
        error.to_string().chars().take(200).flat_map(char::escape_debug).collect();
    refused(ErrorKind::Invalid, format!("is no gzip-compressed tar archive: {message}"))
}

/// `tar` wraps errors of its reader in errors of its own.
fn is_exceeded(error: &io::Error) -> bool {
    let mut source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(inner) = source {
        if inner.is::<Exceeded>() {
            return true;
        }
        if inner.downcast_ref::<io::Error>().is_some_and(is_exceeded) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// A reader that fails once it has produced too much.
struct Counted<R> {
    inner: R,
    left: u64,
}

/// What [`Counted`] fails with.
#[derive(Debug)]
struct Exceeded;

impl std::fmt::Display for Exceeded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many bytes")
    }
}

impl std::error::Error for Exceeded {}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(Exceeded))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A header with any path at all, which `tar`'s own builder would refuse.
    fn header(path: &[u8], kind: EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o000);
        header.set_cksum();
        header
    }

    fn block(content: &[u8]) -> Vec<u8> {
        let mut block = content.to_vec();
        block.resize(content.len().div_ceil(512) * 512, 0);
        block
    }

    fn entry(path: &[u8], kind: EntryType, content: &[u8]) -> Vec<u8> {
        let mut bytes = header(path, kind, content.len() as u64).as_bytes().to_vec();
        bytes.extend(block(content));
        bytes
    }

    fn file(path: &str, content: &[u8]) -> Vec<u8> {
        entry(path.as_bytes(), EntryType::Regular, content)
    }

    fn gzip(tar: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(tar).unwrap();
        encoder.finish().unwrap()
    }

    fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut tar = entries.concat();
        tar.extend([0; 1024]);
        gzip(&tar)
    }

    fn unpacked(entries: &[Vec<u8>]) -> Memory {
        unpack(&archive(entries), &Limits::WEBHOOK).unwrap()
    }

    fn refusal(entries: &[Vec<u8>]) -> String {
        unpack(&archive(entries), &Limits::WEBHOOK).unwrap_err().to_string()
    }

    fn content(files: &Memory, path: &str) -> Vec<u8> {
        files.read(Path::new(path), usize::MAX).unwrap().to_vec()
    }

    #[test]
    fn unpacks_files_and_directories() {
        let files = unpacked(&[
            entry(b"./", EntryType::Directory, b""),
            entry(b"./apps/", EntryType::Directory, b""),
            file("./apps/a.yaml", b"a: 1"),
            file("b.yaml", b""),
        ]);
        assert_eq!(content(&files, "/apps/a.yaml"), b"a: 1");
        assert_eq!(content(&files, "/b.yaml"), b"");
        assert_eq!(files.kind(Path::new("/apps")), FileKind::Directory);
    }

    #[test]
    fn an_empty_archive_is_an_empty_directory() {
        assert_eq!(unpacked(&[]).kind(Path::new("/")), FileKind::Directory);
    }

    #[test]
    fn refuses_paths_that_leave_the_archive() {
        for path in ["../x", "/etc/x", "a/../../x", "a/..", ".."] {
            assert!(refusal(&[file(path, b"")]).contains("leaves the archive"), "{path}");
        }
    }

    #[test]
    fn refuses_backslashes_and_bytes_that_are_no_text() {
        assert!(refusal(&[file("a\\b", b"")]).contains("invalid path"));
        let bytes = entry(&[b'a', 0xff, 0xfe], EntryType::Regular, b"");
        assert!(refusal(&[bytes]).contains("not UTF-8"));
    }

    #[test]
    fn refuses_a_path_of_five_thousand_bytes() {
        let long = "x/".repeat(2500);
        let name = entry(b"././@LongLink", EntryType::GNULongName, long.as_bytes());
        let mut longer = tar::Header::new_gnu();
        longer.set_path("x").unwrap();
        longer.set_size(0);
        longer.set_entry_type(EntryType::Regular);
        longer.set_cksum();
        let message = refusal(&[name, longer.as_bytes().to_vec()]);
        assert!(message.contains("more than 1024 bytes"), "{message}");
    }

    #[test]
    fn refuses_nul_in_an_extended_path() {
        let pax = entry(b"pax", EntryType::XHeader, b"15 path=a\0b\n".as_slice());
        assert!(unpack(&archive(&[pax, file("x", b"")]), &Limits::WEBHOOK).is_err());
        let pax = entry(b"pax", EntryType::XHeader, b"12 path=a\0b\n".as_slice());
        assert!(refusal(&[pax, file("x", b"")]).contains("invalid path"));
    }

    #[test]
    fn skips_symbolic_links_and_follows_none() {
        let mut link = tar::Header::new_ustar();
        link.set_path("d").unwrap();
        link.set_entry_type(EntryType::Symlink);
        link.set_link_name("/etc").unwrap();
        link.set_size(0);
        link.set_cksum();
        let files = unpacked(&[link.as_bytes().to_vec(), file("d/passwd", b"ours")]);
        assert_eq!(content(&files, "/d/passwd"), b"ours");
    }

    #[test]
    fn refuses_links_pipes_and_devices() {
        for kind in [EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::Block] {
            assert!(unpack(&archive(&[entry(b"x", kind, b"")]), &Limits::WEBHOOK).is_err());
        }
    }

    #[test]
    fn stops_a_bomb_by_the_bytes_it_produces() {
        let limits = Limits { bytes: 1 << 16, ..Limits::WEBHOOK };
        let error = unpack(&archive(&[file("zeros", &vec![0; 1 << 20])]), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        // A header that claims nothing does not help: the data is skipped, and counted.
        let mut lying = header(b"zeros", EntryType::Symlink, 1 << 20).as_bytes().to_vec();
        lying.extend(vec![0; 1 << 20]);
        let error = unpack(&archive(&[lying, file("next", b"")]), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_name_record_counts_too() {
        let limits = Limits { bytes: 1 << 16, ..Limits::WEBHOOK };
        let name = entry(b"././@LongLink", EntryType::GNULongName, &vec![b'x'; 1 << 20]);
        assert!(unpack(&archive(&[name, file("x", b"")]), &limits).is_err());
    }

    #[test]
    fn refuses_more_entries_than_allowed() {
        let limits = Limits { entries: 10, ..Limits::WEBHOOK };
        let entries: Vec<_> = (0..11).map(|i| file(&format!("f{i}"), b"")).collect();
        let error = unpack(&archive(&entries), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(unpack(&archive(&entries[..10]), &limits).is_ok());
    }

    #[test]
    fn refuses_an_extended_size_that_contradicts_the_header() {
        let pax = entry(b"pax", EntryType::XHeader, b"12 size=512\n");
        assert!(refusal(&[pax, file("x", b"")]).contains("has two sizes"));
        let pax = entry(b"pax", EntryType::XHeader, b"10 size=4\n");
        assert_eq!(content(&unpacked(&[pax, file("x", b"abcd")]), "/x"), b"abcd");
    }

    #[test]
    fn the_last_of_two_entries_counts_and_case_is_kept() {
        let files = unpacked(&[file("a", b"1"), file("A", b"2"), file("a", b"3")]);
        assert_eq!(content(&files, "/a"), b"3");
        assert_eq!(content(&files, "/A"), b"2");
    }

    #[test]
    fn refuses_a_path_that_is_file_and_directory() {
        assert!(refusal(&[file("a", b""), file("a/b", b"")]).contains("below a file"));
        assert!(refusal(&[file("a/b", b""), file("a", b"")]).contains("file and a directory"));
    }

    #[test]
    fn refuses_a_truncated_archive() {
        let whole = archive(&[file("a", &[7; 4096])]);
        for end in [5, whole.len() / 2, whole.len() - 30] {
            assert!(unpack(&whole[..end], &Limits::WEBHOOK).is_err(), "{end}");
        }
        // Cut inside the tar, though the gzip around it is whole.
        assert!(unpack(&gzip(&file("a", &[7; 4096])[..2048]), &Limits::WEBHOOK).is_err());
    }

    #[test]
    fn reads_concatenated_members_and_ignores_what_follows_the_end() {
        let tar = [file("a", b"1"), file("b", b"2"), vec![0; 1024]].concat();
        let mut two = gzip(&tar[..700]);
        two.extend(gzip(&tar[700..]));
        two.extend(b"trailing");
        assert_eq!(content(&unpack(&two, &Limits::WEBHOOK).unwrap(), "/b"), b"2");
    }

    #[test]
    fn refuses_what_is_no_gzip() {
        let error = unpack(b"hello", &Limits::WEBHOOK).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn skips_the_comment_of_git_archive() {
        let comment = entry(b"pax_global_header", EntryType::XGlobalHeader, b"13 comment=x\n");
        let files = unpacked(&[comment, file("a", b"1")]);
        assert_eq!(content(&files, "/a"), b"1");
        assert_eq!(files.kind(Path::new("/pax_global_header")), FileKind::Missing);
    }
}
