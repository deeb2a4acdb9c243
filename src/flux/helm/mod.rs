//! HelmReleases: the objects that helm-controller would apply, rendered by the real Helm.
//!
//! | step | module |
//! |---|---|
//! | values, from ConfigMaps, Secrets and the release itself | `values`, `set` |
//! | the chart, with dependencies and files of values | [`chart`] |
//! | `helm template`, its output taken apart | `output` |
//! | patches, labels, what Helm notes on objects | `post` |
//!
//! A release is rendered as if it was installed: what runs only with upgrades and deletions is left out.
//!
//! Source: helm-controller 1.6 `internal/action/install.go`, `internal/postrender`.

pub mod chart;
mod earlier;
mod output;
mod post;
mod set;
mod values;

use std::ffi::OsString;
use std::path::Path;

use tempfile::TempDir;

use self::chart::Sources;
use self::output::{Output, Printed};
use self::values::Composed;
use super::api::{Crds, HelmRelease};
use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::files::Memory;
use crate::limits::Limits;
use crate::resource::Resource;
use crate::tools::{Asked, Helm};
use crate::value::Value;

pub use earlier::Earlier;
pub use values::{Masked, References, stood_in};

/// Renders releases.
#[derive(Clone, Copy)]
pub struct Releases<'a> {
    /// The program.
    pub helm: &'a Helm,
    /// Where charts come from.
    pub sources: Sources<'a>,
    /// Where values come from.
    pub references: References<'a>,
    /// What was rendered before.
    pub earlier: &'a Earlier,
    /// Bounds of what is read and printed.
    pub limits: &'a Limits,
}

impl Releases<'_> {
    /// The objects of a release in the order in which they are applied; hooks come last.
    ///
    /// Warnings come with failures too.
    pub fn render(&self, release: &HelmRelease) -> Warned<Result<Vec<Resource>>> {
        let mut warnings = Vec::new();
        let output = self.run(release, &mut warnings);
        let output = output.map_err(|error| match &release.meta.place {
            Some(place) => error.within(place.clone()),
            None => error,
        });
        Warned { output, warnings }
    }

    fn run(&self, release: &HelmRelease, warnings: &mut Vec<Warning>) -> Result<Vec<Resource>> {
        let composed = Composed::of(release, &self.references, self.limits, warnings)?;
        let chart = chart::chart(release, &self.sources, self.limits)?;
        let key = earlier::key(release, &composed, &chart)?;
        let (resources, more) =
            self.earlier.or(key, || self.rendered(release, &composed, &chart))?;
        warnings.extend(more);
        Ok(resources)
    }

    fn rendered(
        &self,
        release: &HelmRelease,
        composed: &Composed,
        chart: &Memory,
    ) -> Result<earlier::Rendered> {
        let mut warnings = Vec::new();
        let shown = shown(release);
        let scratch = written(chart).map_err(|error| {
            let message = format!("cannot write files for Helm: {error}");
            Error::new(ErrorKind::Io, Place::file(shown.as_str()), message)
        })?;
        let printed = self.template(release, &scratch, composed, &Place::file(shown.as_str()))?;
        let read = Printed {
            file: shown.as_str().into(),
            runs_tests: release.runs_tests,
            limits: self.limits,
        };
        let output = Output::read(&printed, &read, &mut warnings);
        let rendered = output.and_then(|output| post::applied(release, output, self.limits));
        Ok((rendered.map_err(|error| composed.hide_in(error))?, warnings))
    }

    /// What Helm prints. The values go through a pipe: they may be secret.
    fn template(
        &self,
        release: &HelmRelease,
        scratch: &TempDir,
        composed: &Composed,
        place: &Place,
    ) -> Result<Vec<u8>> {
        let values = chart::written(&Value::Map(composed.values.clone()))?;
        let home = scratch.path().join("helm");
        let arguments = arguments(release, self.helm, &scratch.path().join("chart"));
        let asked = Asked {
            arguments: &arguments,
            home: &home,
            input: values.as_bytes(),
            limit: self.limits.output_bytes,
        };
        self.helm.run(&asked, place).map_err(|error| composed.hide_in(error))
    }
}

/// What errors call a release.
fn shown(release: &HelmRelease) -> String {
    format!("HelmRelease/{}/{}", release.meta.namespace, release.meta.name)
}

/// The files of a chart in a directory of our own, which goes when it is not needed any more.
fn written(chart: &Memory) -> std::io::Result<TempDir> {
    let scratch = tempfile::Builder::new().prefix("overlay-helm-").tempdir()?;
    let root = scratch.path().join("chart");
    std::fs::create_dir(&root)?;
    for (path, content) in chart.iter() {
        let target = root.join(path.strip_prefix("/").unwrap_or(path));
        std::fs::create_dir_all(target.parent().unwrap_or(&root))?;
        std::fs::write(target, content)?;
    }
    Ok(scratch)
}

fn arguments(release: &HelmRelease, helm: &Helm, chart: &Path) -> Vec<OsString> {
    let install = &release.install;
    let mut arguments: Vec<OsString> = vec!["template".into()];
    let mut add = |flag: &str, value: &str| {
        if !value.is_empty() {
            arguments.extend([flag.into(), value.into()]);
        }
    };
    add("--namespace", release.namespace());
    add("--values", "-");
    add("--kube-version", &helm.kube_version);
    helm.api_versions.iter().for_each(|version| add("--api-versions", version));
    let flags = [
        ("--include-crds", install.crds != Crds::Skip),
        ("--no-hooks", install.disable_hooks),
        ("--skip-tests", !release.runs_tests),
        ("--disable-openapi-validation", install.disable_open_api_validation),
        ("--skip-schema-validation", install.disable_schema_validation),
        ("--debug", helm.debug),
    ];
    arguments.extend(flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.into()));
    // What follows is no flag, whatever it looks like.
    arguments.extend(["--".into(), release.composed_name().into(), chart.into()]);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flux::api::{Install, Meta};

    fn release(name: &str, target: &str) -> HelmRelease {
        HelmRelease {
            meta: Meta { name: name.into(), namespace: "flux-system".into(), ..Meta::default() },
            target_namespace: target.into(),
            ..HelmRelease::default()
        }
    }

    #[test]
    fn names_are_composed_and_cut_as_by_flux() {
        assert_eq!(release("app", "").composed_name(), "app");
        assert_eq!(release("app", "shop").composed_name(), "shop-app");
        let given = HelmRelease { release_name: "given".into(), ..release("app", "shop") };
        assert_eq!(given.composed_name(), "given");
        let long = release("a-release-with-a-long-name", "a-namespace-with-a-long-name-too");
        // From the shell: printf %s NAME | sha256sum.
        assert_eq!(long.composed_name(), "a-namespace-with-a-long-name-too-a-relea-22bdb754b727");
        assert_eq!(long.composed_name().len(), 53);
        let exact = release(&"a".repeat(53), "");
        assert_eq!(exact.composed_name(), "a".repeat(53));
        assert!(release(&"ü".repeat(40), "").composed_name().len() <= 53);
    }

    #[test]
    fn helm_is_told_what_the_release_says() {
        let helm = Helm {
            command: "helm".into(),
            kube_version: "1.30".into(),
            api_versions: vec!["a/v1".into()],
            debug: false,
        };
        let told = |release: &HelmRelease| {
            let arguments = arguments(release, &helm, Path::new("/c"));
            arguments.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned()
        };
        assert_eq!(
            told(&release("app", "")),
            "template --namespace flux-system --values - --kube-version 1.30 --api-versions a/v1 \
             --include-crds --skip-tests -- app /c"
        );
        let install = Install {
            crds: Crds::Skip,
            disable_hooks: true,
            disable_open_api_validation: true,
            disable_schema_validation: true,
            ..Install::default()
        };
        let other = HelmRelease { install, runs_tests: true, ..release("app", "shop") };
        assert_eq!(
            told(&other),
            "template --namespace shop --values - --kube-version 1.30 --api-versions a/v1 \
             --no-hooks --disable-openapi-validation --skip-schema-validation -- shop-app /c"
        );
    }
}
