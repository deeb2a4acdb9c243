//! `--with-helm`: how HelmReleases are rendered, and where their charts come from.

use overlay::archive;
use overlay::error::{Error, ErrorKind, Place};
use overlay::flux::api::{HelmRepository, Object};
use overlay::flux::discover::Charts;
use overlay::flux::sources::charts::Charts as Repositories;
use overlay::flux::sources::elsewhere::Elsewhere;
use overlay::flux::substitute::Lookup;
use overlay::remote::Remote;
use overlay::sops::mask::MASK;

use crate::args::WithHelm;
use crate::settings::Settings;

/// Gives `work` what renders releases, where that is asked for.
///
/// `lookup` finds ConfigMaps and Secrets that the repository does not have.
pub fn using<T>(
    args: &WithHelm,
    settings: &Settings,
    lookup: Option<&Lookup<'_>>,
    work: impl FnOnce(Option<&Charts<'_>>) -> T,
) -> T {
    if !args.with_helm {
        return work(None);
    }
    let helm = args.program.helm(false);
    let remote = settings.cache.clone().map(|cache| Remote::new(cache, args.offline));
    let repositories = Repositories::default();
    let elsewhere = Elsewhere {
        remote: remote.as_ref(),
        charts: &repositories,
        limits: archive::Limits::WEBHOOK,
    };
    let fetch = |object: &Object, secrets: &Lookup<'_>| match args.offline {
        true => Ok(None),
        false => elsewhere.fetch(object, secrets),
    };
    let pull = |repository: &HelmRepository, name: &str, version: &str, secrets: &Lookup<'_>| {
        if args.offline {
            let place = Place::file(repository.url.as_str());
            let message = format!("the chart \"{name}\" is not pulled with --offline");
            return Err(Error::new(ErrorKind::Forbidden, place, message));
        }
        elsewhere.pull(repository, name, version, secrets)
    };
    work(Some(&Charts { helm: &helm, fetch: &fetch, pull: &pull, lookup, mask: MASK }))
}
