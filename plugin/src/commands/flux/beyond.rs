//! `--fetch-sources` and `--with-helm`: how sources are fetched and HelmReleases rendered, and where their charts come
//! from.

use overlay::archive;
use overlay::error::{Error, ErrorKind, Place};
use overlay::flux::api::{HelmRepository, Object};
use overlay::flux::discover::{Beyond, Charts, Fetching};
use overlay::flux::helm::Earlier;
use overlay::flux::sources::charts::Charts as Repositories;
use overlay::flux::sources::elsewhere::Elsewhere;
use overlay::flux::substitute::Lookup;
use overlay::flux::veil::is_encrypted;
use overlay::remote::Remote;
use overlay::sops::mask::MASK;

use crate::args::WithHelm;
use crate::settings::Settings;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Whether releases are rendered, and by which program; not at all where there is nothing.
    pub helm: Option<&'a WithHelm>,
    /// Whether the sources of Kustomizations are fetched.
    pub fetches: bool,
    /// Whether nothing is fetched.
    pub is_offline: bool,
    /// Whether nobody is to see values of Secrets in what releases render to.
    pub veils: bool,
    /// Finds ConfigMaps and Secrets with values that the repository does not have.
    pub values: &'a Lookup<'a>,
    /// Finds Secrets to sign in with that the repository does not have.
    pub credentials: &'a Lookup<'a>,
    /// Whether what is not found is nowhere.
    pub is_complete: bool,
    /// What was rendered before.
    pub earlier: &'a Earlier,
}

/// Gives `work` what fetches sources and renders releases, where that is asked for.
pub fn using<T>(asked: &Asked<'_>, settings: &Settings, work: impl FnOnce(&Beyond<'_>) -> T) -> T {
    let Asked { helm, fetches, is_offline, veils, values, credentials, is_complete, earlier } =
        *asked;
    let remote = settings.cache.clone().map(|cache| Remote::new(cache, is_offline));
    let repositories = Repositories::default();
    let elsewhere = Elsewhere {
        remote: remote.as_ref(),
        charts: &repositories,
        limits: archive::Limits::WEBHOOK,
    };
    let fetch = |object: &Object, secrets: &Lookup<'_>| match is_offline {
        true => Ok(None),
        false => elsewhere.fetch(object, secrets),
    };
    let pull = |repository: &HelmRepository, name: &str, version: &str, secrets: &Lookup<'_>| {
        if is_offline {
            let place = Place::file(repository.url.as_str());
            let message = format!("the chart \"{name}\" is not pulled with --offline");
            return Err(Error::new(ErrorKind::Forbidden, place, message));
        }
        elsewhere.pull(repository, name, version, secrets)
    };
    let helm = helm.filter(|helm| helm.with_helm).map(|helm| helm.program.helm(false));
    let charts = helm.as_ref().map(|helm| Charts {
        helm,
        fetch: &fetch,
        pull: &pull,
        values,
        credentials,
        is_complete,
        is_masked: &is_masked,
        veils,
        earlier,
    });
    let sources = (fetches && !is_offline).then_some(Fetching { fetch: &fetch, credentials });
    work(&Beyond { sources, charts: charts.as_ref() })
}

/// Whether a text stands for one that is not decrypted, or is it.
pub fn is_masked(text: &str) -> bool {
    text == MASK || is_encrypted(text)
}
