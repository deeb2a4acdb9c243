//! Charts, rendered by the real Helm.
//!
//! Unlike kustomize this writes nothing into the source tree: a chart that is not there is pulled
//! into a temporary directory, which goes with the build.
//!
//! Source: kustomize `api/internal/builtins/HelmChartInflationGenerator.go`,
//! `api/types/helmchartargs.go`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::TempDir;

use super::Inputs;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, clean};
use crate::kustomization::{HelmChart, HelmGlobals};
use crate::limits::Limits;
use crate::manifest;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::tools::{Asked, Helm};
use crate::transform::patches::strategic;
use crate::value::Value;
use crate::yaml::{self, Step};

/// A chart with everything around it.
#[derive(Clone, Copy)]
pub struct Chart<'a> {
    /// The entry of `helmCharts`, its namespace settled.
    pub chart: &'a HelmChart,
    /// `helmGlobals`
    pub globals: &'a HelmGlobals,
    /// The directory of the kustomization, on the disk of this machine.
    pub directory: &'a Path,
    /// What the entry refers to.
    pub inputs: Inputs<'a>,
}

/// Helm within one build.
#[derive(Debug)]
pub struct Session {
    helm: Helm,
    limits: Limits,
    /// Helm's own directories, pulled charts and values.
    scratch: TempDir,
    /// How many files of values there are: each has a name of its own.
    values: usize,
}

impl Session {
    /// Looks at which Helm there is, and makes room for its files.
    ///
    /// # Errors
    /// Where it cannot be run, or its version is neither 3 nor 4.
    pub fn start(helm: &Helm, limits: Limits, place: &Place) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("overlay-helm-").tempdir();
        let scratch = scratch.map_err(|error| io(&error, place))?;
        let session = Self { helm: helm.clone(), limits, scratch, values: 0 };
        let arguments = ["version".into(), "--short".into()];
        let config_home = session.scratch.path().join("helm");
        let version = session.run(&arguments, &config_home, place)?;
        let version = String::from_utf8_lossy(&version);
        match major_version(&version) {
            Some(3 | 4) => Ok(session),
            _ => {
                let message =
                    format!("Helm of version 3 or 4 is needed, this is {}", version.trim());
                Err(Error::new(ErrorKind::External, place.clone(), message))
            }
        }
    }

    /// The objects that a chart renders to.
    ///
    /// # Errors
    /// Where there is no such chart, its values are none, or Helm fails.
    pub fn render(&mut self, files: &dyn Files, chart: &Chart<'_>) -> Result<Vec<Resource>> {
        let name = &chart.chart.name;
        if name.is_empty() {
            return Err(chart.inputs.invalid(&[], "chart has no name"));
        }
        for path in &chart.chart.additional_values_files {
            (chart.inputs.read)(path).map_err(|error| {
                error.within((chart.inputs.place)(&[Step::Key("additionalValuesFiles")]))
            })?;
        }
        let home = self.home(files, chart)?;
        let values = self.values(chart, &home)?;
        let values = self.write_values(&values, chart)?;
        let arguments = template_arguments(&self.helm, chart, &home.directory, &values);
        let place = (chart.inputs.place)(&[]);
        let output = self.run(&arguments, &self.config_home(chart), &place)?;
        self.objects(&output, name, &place)
    }

    fn config_home(&self, chart: &Chart<'_>) -> PathBuf {
        match chart.globals.config_home.as_str() {
            "" => self.scratch.path().join("helm"),
            home => PathBuf::from(home),
        }
    }

    /// Where the chart is; it is pulled if it is nowhere.
    fn home(&self, files: &dyn Files, chart: &Chart<'_>) -> Result<Home> {
        let HelmChart { name, version, repo, .. } = chart.chart;
        let home = match chart.globals.chart_home.as_str() {
            "" => "charts",
            home => home,
        };
        let versioned = |home: PathBuf| match (version.as_str(), repo.as_str()) {
            ("", _) | (_, "") => home,
            _ => home.join(format!("{name}-{version}")),
        };
        let directory = versioned(clean(&chart.directory.join(home)));
        if files.kind(&directory.join(name.as_str())) == FileKind::Directory {
            return Ok(Home { directory, is_pulled: false });
        }
        let place = (chart.inputs.place)(&[]);
        if repo.is_empty() {
            let shown = files.shown(&directory.join(name.as_str()));
            let message =
                format!("there is no chart at \"{shown}\", and no \"repo\" to pull it from");
            return Err(Error::new(ErrorKind::Missing, place, message));
        }
        let directory = versioned(self.scratch.path().join("charts").join(pulled_from(repo)));
        if !directory.join(name.as_str()).is_dir() {
            let arguments = pull_arguments(chart.chart, &directory);
            self.run(&arguments, &self.config_home(chart), &place)?;
        }
        Ok(Home { directory, is_pulled: true })
    }

    /// The values that the chart gets: a file's, merged with those of the entry.
    fn values(&self, chart: &Chart<'_>, home: &Home) -> Result<Bytes> {
        let HelmChart { values_inline, values_merge, .. } = chart.chart;
        let inline =
            values_inline.as_ref().filter(|v| v.as_map().is_some_and(|map| !map.is_empty()));
        let merge = values_merge.as_str();
        if !matches!(merge, "" | "merge" | "override" | "replace") {
            let error = chart.inputs.invalid(
                &[Step::Key("valuesMerge")],
                format!("\"valuesMerge\" is not \"{merge}\""),
            );
            return Err(error.hint("it is merge, override or replace"));
        }
        match inline {
            None => self.values_file(chart, home),
            Some(inline) if merge == "replace" => written(inline),
            Some(inline) => {
                let file = self.values_file(chart, home)?;
                let file = self.parsed(&file, chart)?;
                let (below, above) =
                    if merge == "merge" { (inline, &file) } else { (&file, inline) };
                let merged =
                    strategic::merge(&Schema::builtin(), below, above).map_err(|conflict| {
                        let message = format!("values cannot be merged: {}", conflict.message);
                        chart.inputs.invalid(&[Step::Key("valuesInline")], message)
                    })?;
                written(&merged.unwrap_or_default())
            }
        }
    }

    fn values_file(&self, chart: &Chart<'_>, home: &Home) -> Result<Bytes> {
        let HelmChart { name, values_file, .. } = chart.chart;
        let within = |error: Error| error.within((chart.inputs.place)(&[Step::Key("valuesFile")]));
        if !values_file.is_empty() {
            return (chart.inputs.read)(values_file).map_err(within);
        }
        let path = home.directory.join(name.as_str()).join("values.yaml");
        if home.is_pulled {
            let disk = crate::files::Disk::new(home.directory.clone());
            return disk.read(&path, self.limits.file_bytes).map_err(within);
        }
        (chart.inputs.read)(&path.to_string_lossy()).map_err(within)
    }

    fn parsed(&self, text: &[u8], chart: &Chart<'_>) -> Result<Value> {
        let file = chart.inputs.file.clone();
        let mut documents = yaml::read(text, &file, &self.limits)
            .map_err(|error| error.at((chart.inputs.place)(&[Step::Key("valuesFile")])))?;
        if documents.is_empty() {
            let error = chart.inputs.invalid(&[], "file of values is empty, nothing can be merged");
            return Err(error.hint("add \"valuesMerge: replace\""));
        }
        Ok(documents.swap_remove(0))
    }

    fn write_values(&mut self, values: &[u8], chart: &Chart<'_>) -> Result<PathBuf> {
        self.values += 1;
        let path = self.scratch.path().join(format!("values-{}.yaml", self.values));
        let place = (chart.inputs.place)(&[]);
        std::fs::write(&path, values).map_err(|error| io(&error, &place))?;
        Ok(path)
    }

    fn run(&self, arguments: &[OsString], config_home: &Path, place: &Place) -> Result<Vec<u8>> {
        let asked =
            Asked { arguments, home: config_home, input: b"", limit: self.limits.output_bytes };
        self.helm.run(&asked, place)
    }

    /// Helm may say something before the first separator; that is no object.
    fn objects(&self, output: &[u8], name: &str, place: &Place) -> Result<Vec<Resource>> {
        let read = |text: &[u8]| -> Result<Vec<Resource>> {
            let file = format!("chart {name}").into();
            let documents = yaml::read(text, &file, &self.limits)?;
            let place =
                |document| Place { file: file.clone(), at: yaml::locate(text, document, &[]) };
            manifest::resources(&documents, text, &file, &place)
        };
        let resources = read(output).or_else(|error| match behind_separator(output) {
            Some(rest) => read(rest),
            None => Err(error),
        });
        let mut resources = resources.map_err(|error| error.within(place.clone()))?;
        for resource in &mut resources {
            resource.from_helm = true;
        }
        Ok(resources)
    }
}

/// A directory with charts.
struct Home {
    directory: PathBuf,
    /// Whether it is one of ours, out of reach of the user's files.
    is_pulled: bool,
}

fn io(error: &std::io::Error, place: &Place) -> Error {
    Error::new(ErrorKind::Io, place.clone(), format!("cannot write files for Helm: {error}"))
}

fn written(value: &Value) -> Result<Bytes> {
    let mut text = String::new();
    yaml::write(value, &mut text)?;
    Ok(text.into())
}

/// A directory name for a repository.
fn pulled_from(repo: &str) -> String {
    repo.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The first number of the first version in `text`: `v3.14.2+g1`, `version 4.0`.
fn major_version(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let starts = (0..bytes.len())
        .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit()));
    starts.into_iter().find_map(|at| {
        let (number, rest) = text[at..].split_once('.')?;
        let follows = rest.starts_with(|c: char| c.is_ascii_digit());
        number.parse().ok().filter(|_| follows)
    })
}

fn pull_arguments(chart: &HelmChart, directory: &Path) -> Vec<OsString> {
    let HelmChart { name, version, repo, devel, .. } = chart;
    let mut arguments: Vec<OsString> =
        vec!["pull".into(), "--untar".into(), "--untardir".into(), directory.into()];
    if repo.starts_with("oci://") {
        arguments.push(format!("{}/{name}", repo.strip_suffix('/').unwrap_or(repo)).into());
    } else {
        arguments.extend(["--repo".into(), repo.as_str().into(), name.as_str().into()]);
    }
    if !version.is_empty() {
        arguments.extend(["--version".into(), version.as_str().into()]);
    }
    if *devel {
        arguments.push("--devel".into());
    }
    arguments
}

fn template_arguments(
    helm: &Helm,
    Chart { chart, directory, .. }: &Chart<'_>,
    home: &Path,
    values: &Path,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["template".into()];
    let mut add = |flag: &str, value: OsString| {
        if !value.is_empty() {
            arguments.extend([flag, ""].iter().filter(|one| !one.is_empty()).map(OsString::from));
            arguments.push(value);
        }
    };
    match chart.release_name.as_str() {
        "" => add("", "--generate-name".into()),
        name => add("", name.into()),
    }
    add("", home.join(chart.name.as_str()).into());
    add("--namespace", chart.namespace.as_str().into());
    add("--name-template", chart.name_template.as_str().into());
    add("-f", values.into());
    for path in &chart.additional_values_files {
        add("-f", directory.join(path.as_str()).into());
    }
    let own: Vec<&str> = chart.api_versions.iter().map(AsRef::as_ref).collect();
    let given: Vec<&str> = helm.api_versions.iter().map(AsRef::as_ref).collect();
    for version in if own.is_empty() { given } else { own } {
        add("--api-versions", version.into());
    }
    let kube_version = chart.kube_version.as_str();
    add(
        "--kube-version",
        if kube_version.is_empty() { &helm.kube_version } else { kube_version }.into(),
    );
    for (flag, is_set) in [
        ("--include-crds", chart.include_crds),
        ("--skip-tests", chart.skip_tests),
        ("--no-hooks", chart.skip_hooks),
        ("--debug", chart.debug || helm.debug),
        ("--devel", chart.devel),
    ] {
        add("", if is_set { flag.into() } else { OsString::new() });
    }
    arguments
}

/// What follows the first line that begins with `---`.
fn behind_separator(text: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(text, b"\n---")?;
    Some(&text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helm() -> Helm {
        Helm {
            command: "helm".into(),
            kube_version: "1.30".into(),
            api_versions: vec!["a/v1".into()],
            debug: false,
        }
    }

    fn arguments(chart: &HelmChart) -> String {
        let read = |_: &str| Ok(Bytes::new());
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        let chart = Chart {
            chart,
            globals: &HelmGlobals::default(),
            directory: Path::new("/k"),
            inputs: Inputs { file: &"kustomization.yaml".into(), read: &read, place: &place },
        };
        let arguments = template_arguments(&helm(), &chart, Path::new("/h"), Path::new("/v"));
        arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
    }

    #[test]
    fn helm_is_told_what_kustomize_tells_it() {
        let mut chart = HelmChart { name: "c".into(), ..HelmChart::default() };
        assert_eq!(
            arguments(&chart),
            "template --generate-name /h/c -f /v --api-versions a/v1 --kube-version 1.30"
        );
        chart.release_name = "r".into();
        chart.namespace = "n".into();
        chart.additional_values_files = vec!["x.yaml".into()];
        chart.api_versions = vec!["b/v1".into()];
        chart.kube_version = "1.29".into();
        (chart.include_crds, chart.skip_hooks) = (true, true);
        assert_eq!(
            arguments(&chart),
            "template r /h/c --namespace n -f /v -f /k/x.yaml --api-versions b/v1 \
             --kube-version 1.29 --include-crds --no-hooks"
        );
    }

    #[test]
    fn charts_are_pulled_by_repository_or_registry() {
        let of = |repo: &str| {
            let chart = HelmChart {
                name: "c".into(),
                repo: repo.into(),
                version: "1".into(),
                ..HelmChart::default()
            };
            let arguments = pull_arguments(&chart, Path::new("/d"));
            arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
        };
        assert_eq!(
            of("https://x.org"),
            "pull --untar --untardir /d --repo https://x.org c --version 1"
        );
        assert_eq!(of("oci://x.org/"), "pull --untar --untardir /d oci://x.org/c --version 1");
    }

    /// A Helm that renders its values into a ConfigMap, and talks before it does.
    const FAKE: &str = r"#!/bin/sh
if [ $1 = version ]; then echo v3.9.9; exit; fi
while [ $# -gt 1 ]; do if [ $1 = -f ]; then values=$2; fi; shift; done
printf 'Pulled: it\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n'
sed 's/^/  /' $values
";

    fn rendered(script: &str, chart: &HelmChart) -> Result<Vec<Resource>> {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let command = directory.path().join("helm");
        std::fs::write(&command, script).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&command, executable).expect("made executable");
        let chart_directory = directory.path().join("charts/c");
        std::fs::create_dir_all(&chart_directory).expect("made");
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        let read = |_: &str| Ok(Bytes::from_static(b"a: {b: 1, c: 2}\n"));
        let helm = Helm { command, ..helm() };
        let mut session = Session::start(&helm, Limits::PERSON, &place(&[]))?;
        let files = crate::files::Disk::new(directory.path().into());
        let inputs = Inputs { file: &"kustomization.yaml".into(), read: &read, place: &place };
        let globals = HelmGlobals::default();
        session.render(
            &files,
            &Chart { chart, globals: &globals, directory: directory.path(), inputs },
        )
    }

    #[test]
    fn objects_of_a_chart_know_it() {
        let inline = Value::Map(crate::value::Map::from_iter([(
            "a".into(),
            Value::Map(crate::value::Map::from_iter([("b".into(), Value::int(3))])),
        )]));
        let chart =
            HelmChart { name: "c".into(), values_inline: Some(inline), ..HelmChart::default() };
        let made = rendered(FAKE, &chart).expect("rendered");
        assert!(made[0].from_helm);
        assert_eq!(made[0].value.text_at(&["data", "a", "b"]), Some("3"));
        assert_eq!(made[0].value.text_at(&["data", "a", "c"]), Some("2"));
    }

    #[test]
    fn a_failing_helm_is_quoted() {
        let script =
            "#!/bin/sh\nif [ $1 = version ]; then echo v4.0.0; exit; fi\necho nope >&2; exit 1\n";
        let chart = HelmChart { name: "c".into(), ..HelmChart::default() };
        let error = rendered(script, &chart).expect_err("failed");
        assert!(error.message().ends_with("helm template failed: nope"), "{error}");
        let old = "#!/bin/sh\necho v2.1.0\n";
        assert!(rendered(old, &chart).expect_err("too old").message().contains("3 or 4"));
    }

    #[test]
    fn a_chart_that_is_nowhere_needs_a_repository() {
        let chart = HelmChart { name: "d".into(), ..HelmChart::default() };
        let error = rendered(FAKE, &chart).expect_err("missing");
        assert!(error.message().contains("no \"repo\""), "{error}");
    }

    #[test]
    fn versions_are_found_in_what_helm_says() {
        assert_eq!(major_version("v3.14.2+gc309b6f\n"), Some(3));
        assert_eq!(major_version("4.0"), Some(4));
        assert_eq!(major_version("WARNING: 2 things\nv4.1.0"), Some(4));
        assert_eq!(major_version("helm"), None);
    }

    #[test]
    fn what_helm_says_before_its_output_is_skipped() {
        assert_eq!(behind_separator(b"Pulled: x\n---\na: b\n"), Some(&b"---\na: b\n"[..]));
        assert_eq!(behind_separator(b"a: b\n"), None);
    }
}
