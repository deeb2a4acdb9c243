//! The chart of a release, as source-controller packages it: with its dependencies, the values of its files, and
//! the revision in its version where Flux writes it there.
//!
//! Source: source-controller `internal/helm/chart`, `internal/controller/helmchart_controller.go`;
//! helm-controller `internal/controller/helmrelease_controller.go`, `mutateChartWithSourceRevision`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::set::merge;
use super::values;
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, Memory, clean};
use crate::flux::api::{self, HelmRelease, HelmRepository, Meta, SourceRef};
use crate::flux::sources::Source;
use crate::limits::Limits;
use crate::value::{Map, Value};
use crate::yaml;

/// Most bytes of one file of a chart. Source: helm `pkg/chart/loader/archive`, `MaxDecompressedFileSize`.
const FILE_BYTES: usize = 5 << 20;

/// How much a chart may hold. Source: helm, `MaxDecompressedChartSize`.
const LIMITS: archive::Limits = archive::Limits::WEBHOOK;

/// Most directories within each other.
const DEPTH: usize = 64;

/// What a chart comes from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Provider {
    /// The files of a Git repository, a bucket or an artifact.
    Files(Source),
    /// A repository of charts.
    Repository(Box<HelmRepository>),
    /// A chart of another source.
    Chart(Box<api::HelmChart>),
}

/// Finds what a reference names, its namespace filled in; nothing where nobody has it.
pub type Find<'a> = dyn Fn(&SourceRef) -> Result<Option<Provider>> + Sync + 'a;

/// Pulls a chart of a repository: its name, and its version or a range of them.
pub type Pull<'a> = dyn Fn(&HelmRepository, &str, &str) -> Result<Source> + Sync + 'a;

/// Where charts come from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// Finds sources of Flux.
    pub find: &'a Find<'a>,
    /// Asks repositories of charts.
    pub pull: &'a Pull<'a>,
}

/// A chart where it was found.
struct Located {
    source: Source,
    /// The directory of the chart.
    directory: PathBuf,
    /// The directory that files with values are named from.
    base: PathBuf,
    /// Whether paths to other charts of the source can be followed.
    is_local: bool,
    /// What Flux writes behind the version.
    build: String,
}

/// The files of a release's chart, complete, from their root on.
pub(super) fn chart(
    release: &HelmRelease,
    sources: &Sources<'_>,
    limits: &Limits,
) -> Result<Memory> {
    let mut spec = release.chart.clone();
    let located = match (&spec, &release.chart_ref) {
        (Some(chart), _) => of_spec(&release.meta, chart, sources)?,
        (None, Some(reference)) => {
            let wanted = filled(reference, &release.meta);
            match found(&wanted, sources)? {
                Provider::Files(source) => of_artifact(source, &wanted)?,
                Provider::Chart(chart) => {
                    let located = of_spec(&chart.meta, &chart.chart, sources)?;
                    spec = Some(chart.chart);
                    located
                }
                Provider::Repository(_) => return Err(refused(&wanted, "is no chart")),
            }
        }
        (None, None) => {
            let place = release.meta.place.clone().unwrap_or_else(|| Place::file("HelmRelease"));
            return Err(Error::new(ErrorKind::Invalid, place, "needs \"chart\" or \"chartRef\""));
        }
    };
    let mut files = Memory::default();
    files.insert_directory("/");
    copy(&*located.source.files, &located.directory, Path::new("/"), &mut files, 0)?;
    let from =
        |error: Error| error.within(Place::file(located.source.files.shown(&located.directory)));
    add_dependencies(&mut files, &located, release, sources, limits).map_err(from)?;
    let mut build = located.build.clone();
    if let Some(chart) = spec.filter(|chart| !chart.values_files.is_empty()) {
        let values = merged_files(&chart, &located, &files, limits)?;
        let text = written(&Value::Map(values))?;
        if text.len() > FILE_BYTES {
            let message =
                format!("files with values come to more than {FILE_BYTES} bytes, Helm's limit");
            return Err(from(Error::new(ErrorKind::Limit, Place::file("valuesFiles"), message)));
        }
        files.insert("values.yaml", text);
        // The generation of a HelmChart that has not changed since it was made.
        build += if build.is_empty() { "1" } else { ".1" };
    }
    if !build.is_empty() {
        set_build(&mut files, &build, limits).map_err(from)?;
    }
    Ok(files)
}

/// A reference with the namespace that it means.
fn filled(reference: &SourceRef, meta: &Meta) -> SourceRef {
    let mut filled = reference.clone();
    if filled.namespace.is_empty() {
        filled.namespace = meta.namespace.clone();
    }
    filled
}

fn found(wanted: &SourceRef, sources: &Sources<'_>) -> Result<Provider> {
    (sources.find)(wanted)?.ok_or_else(|| {
        let shown = shown(wanted);
        let message = format!("there is no {shown}, or its files are elsewhere");
        let error = Error::new(ErrorKind::Missing, Place::file(shown.as_str()), message);
        error.hint(format!("--local-source {shown}=PATH has a directory stand for it"))
    })
}

fn shown(wanted: &SourceRef) -> String {
    format!("{}/{}/{}", wanted.kind, wanted.namespace, wanted.name)
}

fn refused(wanted: &SourceRef, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, Place::file(shown(wanted)), message)
}

/// A chart of a source, as `spec.chart` of a release or a HelmChart names it.
fn of_spec(meta: &Meta, chart: &api::Chart, sources: &Sources<'_>) -> Result<Located> {
    let wanted = filled(&chart.source_ref, meta);
    match found(&wanted, sources)? {
        Provider::Files(source) => of_files(source, chart, &wanted),
        Provider::Repository(repository) => {
            let source = (sources.pull)(&repository, &chart.chart, &chart.version)
                .map_err(|error| error.within(Place::file(shown(&wanted))))?;
            let directory = top(&source, &wanted)?;
            let base = directory.clone();
            Ok(Located { source, directory, base, is_local: false, build: String::new() })
        }
        Provider::Chart(_) => Err(refused(&wanted, "is no source of charts")),
    }
}

fn of_files(source: Source, chart: &api::Chart, wanted: &SourceRef) -> Result<Located> {
    let directory = below(&source.root, &chart.chart);
    let base = source.root.clone();
    let build = match chart.reconcile_strategy.as_str() {
        "Revision" => short_hash(&source.revision).unwrap_or_default(),
        _ => String::new(),
    };
    match source.files.kind(&directory) {
        FileKind::Directory if !is_chart(&source, &directory) => {
            let place = Place::file(source.files.shown(&directory));
            Err(Error::new(ErrorKind::Missing, place, "is no chart: it has no Chart.yaml"))
        }
        FileKind::Directory => Ok(Located { source, directory, base, is_local: true, build }),
        FileKind::File => {
            let place = || Place::file(source.files.shown(&directory));
            let content = source.files.read(&directory, FILE_BYTES * 2)?;
            let files =
                archive::unpack(&content, &LIMITS).map_err(|error| error.within(place()))?;
            let revision = source.revision.clone();
            let packed = Source::new(Arc::new(files), PathBuf::from("/"), revision);
            let directory = top(&packed, wanted)?;
            let base = directory.clone();
            Ok(Located { source: packed, directory, base, is_local: false, build })
        }
        _ => {
            let place = Place::file(source.files.shown(&directory));
            let message = format!("no chart here: \"{}\" of {}", chart.chart, shown(wanted));
            Err(Error::new(ErrorKind::Missing, place, message))
        }
    }
}

/// A chart that a source is.
fn of_artifact(source: Source, wanted: &SourceRef) -> Result<Located> {
    let directory = top(&source, wanted)?;
    let build = short_hash(&source.revision).unwrap_or_default();
    let base = directory.clone();
    Ok(Located { source, directory, base, is_local: false, build })
}

/// The directory of the only chart of an archive: its root, or the directory there.
fn top(source: &Source, wanted: &SourceRef) -> Result<PathBuf> {
    if is_chart(source, &source.root) {
        return Ok(source.root.clone());
    }
    let names = source.files.list(&source.root)?;
    let mut charts =
        names.iter().map(|name| source.root.join(name)).filter(|path| is_chart(source, path));
    match (charts.next(), charts.next()) {
        (Some(chart), None) => Ok(chart),
        (None, _) => Err(refused(wanted, "holds no chart: there is no Chart.yaml in it")),
        (Some(_), Some(_)) => Err(refused(wanted, "holds more than one chart")),
    }
}

fn is_chart(source: &Source, directory: &Path) -> bool {
    source.files.kind(&directory.join("Chart.yaml")) == FileKind::File
}

/// A path that cannot leave its root.
fn below(root: &Path, path: &str) -> PathBuf {
    let below = clean(&Path::new("/").join(path.trim_start_matches('/')));
    clean(&root.join(below.strip_prefix("/").unwrap_or(&below)))
}

/// The first twelve digits of the hash that a revision ends with.
fn short_hash(revision: &str) -> Option<String> {
    let (_, hash) = revision.rsplit_once(':')?;
    hash.get(..12).map(str::to_owned)
}

/// Copies what is in and below a directory.
fn copy(files: &dyn Files, from: &Path, to: &Path, out: &mut Memory, depth: usize) -> Result<()> {
    let limit =
        |message: String| Error::new(ErrorKind::Limit, Place::file(files.shown(from)), message);
    if depth > DEPTH {
        return Err(limit(format!("more than {DEPTH} directories within each other")));
    }
    for name in files.list(from)? {
        let (path, target) = (from.join(&name), to.join(&name));
        match files.kind(&path) {
            FileKind::Directory => copy(files, &path, &target, out, depth + 1)?,
            FileKind::File => out.insert(&target, files.read(&path, FILE_BYTES)?),
            _ => {}
        }
    }
    if u64::try_from(out.bytes()).unwrap_or(u64::MAX) > LIMITS.bytes {
        return Err(limit(format!("chart holds more than {} bytes", LIMITS.bytes)));
    }
    Ok(())
}

/// One entry of `dependencies`.
struct Dependency {
    name: String,
    version: String,
    repository: String,
    alias: String,
}

impl Dependency {
    fn read(value: &Value) -> Self {
        let text = |key: &str| value.text_at(&[key]).unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            version: text("version"),
            repository: text("repository"),
            alias: text("alias"),
        }
    }
}

/// Adds the dependencies that are not in `charts/`.
fn add_dependencies(
    files: &mut Memory,
    located: &Located,
    release: &HelmRelease,
    sources: &Sources<'_>,
    limits: &Limits,
) -> Result<()> {
    let chart = document(files, "Chart.yaml", limits)?;
    // What is locked counts; charts of the first version have other files for it.
    let mut wanted = chart.get("dependencies").cloned();
    for name in ["requirements.yaml", "Chart.lock", "requirements.lock"] {
        if files.kind(&Path::new("/").join(name)) == FileKind::File {
            wanted = document(files, name, limits)?.get("dependencies").cloned().or(wanted);
        }
    }
    let wanted: Vec<_> =
        wanted.iter().filter_map(Value::as_list).flatten().map(Dependency::read).collect();
    let present = present(files, limits)?;
    if present.len() == wanted.len() {
        return Ok(());
    }
    for dependency in wanted {
        let Dependency { name, alias, .. } = &dependency;
        if present.contains(name) || !alias.is_empty() && present.contains(alias) {
            continue;
        }
        let failed = |error: Error| {
            error.within(Place::file(format!("dependency \"{}\"", name.escape_debug())))
        };
        add(files, &dependency, located, release, sources).map_err(failed)?;
    }
    Ok(())
}

/// The names of the charts in `charts/`.
fn present(files: &Memory, limits: &Limits) -> Result<Vec<String>> {
    let charts = Path::new("/charts");
    let mut names = Vec::new();
    if files.kind(charts) != FileKind::Directory {
        return Ok(names);
    }
    for entry in files.list(charts)? {
        let path = charts.join(&entry);
        let chart = path.join("Chart.yaml");
        let text = if files.kind(&chart) == FileKind::File {
            files.read(&chart, FILE_BYTES)?
        } else if files.kind(&path) == FileKind::File
            && path.extension().is_some_and(|e| e == "tgz")
        {
            let packed = archive::unpack(&files.read(&path, FILE_BYTES * 2)?, &LIMITS)
                .map_err(|error| error.within(Place::file(files.shown(&path))))?;
            let packed = Source::new(Arc::new(packed), "/".into(), String::new());
            let directory = top(&packed, &SourceRef::default())?;
            packed.files.read(&directory.join("Chart.yaml"), FILE_BYTES)?
        } else {
            continue;
        };
        let chart = yaml::read_first(&text, &files.shown(&chart), limits)?;
        names.push(chart.text_at(&["name"]).unwrap_or_default().to_owned());
    }
    Ok(names)
}

fn add(
    files: &mut Memory,
    dependency: &Dependency,
    located: &Located,
    release: &HelmRelease,
    sources: &Sources<'_>,
) -> Result<()> {
    let Dependency { name, version, repository, alias } = dependency;
    let folder = if alias.is_empty() { name } else { alias };
    let is_name = |text: &str| {
        !text.is_empty() && !text.contains(['/', '\\', '\0']) && !text.starts_with('.')
    };
    if !is_name(folder) {
        let message = "its name is none of a chart";
        return Err(Error::new(ErrorKind::Invalid, Place::file("Chart.yaml"), message));
    }
    let target = Path::new("/charts").join(folder);
    if repository.is_empty() || repository.starts_with("file://") {
        let place = || Place::file(repository.as_str());
        if !located.is_local {
            let message = "is a path, but the chart comes without the files around it";
            return Err(Error::new(ErrorKind::Missing, place(), message));
        }
        let path = match repository.strip_prefix("file://") {
            Some(path) => path.to_owned(),
            None => format!("charts/{name}"),
        };
        let from = located.directory.join(path.trim_start_matches('/'));
        let from = clean(&from);
        let is_inside = from.starts_with(&located.source.root);
        if !is_inside || !is_chart(&located.source, &from) {
            let message = if is_inside { "there is no chart" } else { "leads out of its source" };
            let place = Place::file(located.source.files.shown(&from));
            return Err(Error::new(ErrorKind::Missing, place, message));
        }
        return copy(&*located.source.files, &from, &target, files, 0);
    }
    let known =
        ["http://", "https://", "oci://"].iter().any(|scheme| repository.starts_with(scheme));
    if !known {
        let message = format!("\"{}\" is no address of a repository", repository.escape_debug());
        return Err(Error::new(ErrorKind::Invalid, Place::file("Chart.yaml"), message));
    }
    let repository = HelmRepository {
        meta: Meta { namespace: release.meta.namespace.clone(), ..Meta::default() },
        url: repository.as_str().into(),
        ..HelmRepository::default()
    };
    let source = (sources.pull)(&repository, name, version)?;
    let directory = top(&source, &SourceRef::default())?;
    copy(&*source.files, &directory, &target, files, 0)
}

/// The values of the files that a chart is to have instead of its own.
fn merged_files(
    chart: &api::Chart,
    located: &Located,
    files: &Memory,
    limits: &Limits,
) -> Result<Map> {
    let mut merged = Map::default();
    for name in &chart.values_files {
        let path = below(&located.base, name);
        // Of a chart by itself, files are taken as they are in the chart.
        let (files, path): (&dyn Files, _) = match located.is_local {
            true => (&*located.source.files, path),
            false => (files, below(Path::new("/"), name)),
        };
        match files.kind(&path) {
            FileKind::File => {}
            FileKind::Missing if chart.ignore_missing_values_files => continue,
            _ => {
                let message = format!("no file with values here: \"{name}\" of valuesFiles");
                let place = Place::file(files.shown(&path));
                return Err(Error::new(ErrorKind::Missing, place, message));
            }
        }
        let text = files.read(&path, limits.file_bytes)?;
        merge(&mut merged, &values::read(&text, &files.shown(&path), limits)?);
    }
    Ok(merged)
}

/// Writes build metadata behind the version of a chart, in place of such that is there.
fn set_build(files: &mut Memory, build: &str, limits: &Limits) -> Result<()> {
    let mut chart = document(files, "Chart.yaml", limits)?;
    let version = chart.text_at(&["version"]).unwrap_or_default();
    let plain = version.split('+').next().unwrap_or_default();
    let plain = plain.strip_prefix('v').unwrap_or(plain);
    let version = format!("{plain}+{build}");
    chart.set(&["version"], Value::string(version));
    files.insert("Chart.yaml", written(&chart)?);
    Ok(())
}

fn document(files: &Memory, name: &str, limits: &Limits) -> Result<Value> {
    let path = Path::new("/").join(name);
    yaml::read_first(&files.read(&path, FILE_BYTES)?, &files.shown(&path), limits)
}

pub(super) fn written(value: &Value) -> Result<String> {
    let mut text = String::new();
    yaml::write(value, &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_takes_the_place_of_another() {
        let set = |version: &str| {
            let mut files = Memory::default();
            files.insert("Chart.yaml", format!("name: a\nversion: {version}\n"));
            set_build(&mut files, "0123456789ab", &Limits::PERSON).expect("a chart");
            document(&files, "Chart.yaml", &Limits::PERSON)
                .expect("YAML")
                .text_at(&["version"])
                .map(str::to_owned)
        };
        assert_eq!(set("1.2.3").as_deref(), Some("1.2.3+0123456789ab"));
        assert_eq!(set("v1.2.3-rc.1+old").as_deref(), Some("1.2.3-rc.1+0123456789ab"));
    }

    #[test]
    fn revisions_end_with_a_hash() {
        assert_eq!(short_hash("main@sha1:0123456789abcdef").as_deref(), Some("0123456789ab"));
        assert_eq!(short_hash("sha256:0123456789abcdef").as_deref(), Some("0123456789ab"));
        assert_eq!(short_hash(""), None);
        assert_eq!(short_hash("1.2.3"), None);
    }

    #[test]
    fn paths_stay_below_their_root() {
        for path in ["charts/a", "/charts/a", "./charts/../charts/a", "../../charts/a"] {
            assert_eq!(below(Path::new("/r"), path), Path::new("/r/charts/a"), "{path}");
        }
    }
}
