//! `flux build`: prints what the Kustomizations of a repository render to, and their HelmReleases with `--with-helm`.

use overlay::error::{Error, Result};
use overlay::flux::Rendered;
use overlay::flux::discover::{Found, Node, Outcome, Release};
use overlay::flux::helm::Earlier;
use overlay::resources::Resources;
use overlay::sops::decryption::{self, Finding};
use overlay::{Resource, build, json, yaml};
use serde_json::{Value as Json, json};

use super::cluster::{self, Cluster, Need};
use super::repository::{Checkout, Choice, Rules, Secrets, shown, shown_release};
use crate::args::{Connection, DataFormat, FluxBuild};
use crate::exit;
use crate::output::{Console, failure};
use crate::settings::Settings;

/// Runs it.
///
/// # Errors
/// Where a name, a path, a revision or the cluster is not there. What does not render is told, and by the exit code.
pub fn run(
    args: &FluxBuild,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let need = if args.inputs.ask_cluster { Need::Required } else { Need::None };
    cluster::with(need, connection, settings, console, |cluster| {
        render(args, cluster, settings, console)
    })
}

fn render(
    args: &FluxBuild,
    cluster: Option<&Cluster>,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let mut choice = Choice::of(&args.chosen, settings)?;
    let secrets = if args.decrypt { Secrets::Revealed } else { Secrets::Masked };
    let rules = Rules::new(&args.inputs, secrets, cluster, settings)?;
    let rules = rules.remembering_for(&choice, settings);
    let earlier = Earlier::default();
    let render = |choice: &Choice| discover(args, choice, &earlier, &rules, settings);
    let found = choice.settle(settings, render, |found| vec![found])?;
    let limits = rules.options.limits;
    found.warnings.iter().for_each(|warning| console.warn(warning));
    let is_all = choice.names.is_empty();
    let errors = errors(&found, &choice);
    if let Err(error) = choice.check(&[&found]) {
        found.problems.iter().for_each(|problem| console.error(problem));
        return Err(error);
    }
    match args.output {
        Some(DataFormat::Json) => {
            console.print(&data(&found, &choice, &errors, args.helm.with_helm)?);
        }
        Some(DataFormat::Yaml) | None => console.print(&documents(&found, &choice, &limits)?),
    }
    errors.iter().for_each(|error| console.error(error));
    if is_all {
        found.elsewhere.iter().for_each(|error| left_out(error, console));
    }
    tell(rules, &found, &choice, console);
    Ok(if errors.is_empty() { exit::OK } else { exit::ERROR })
}

/// All Kustomizations of the place that is chosen.
fn discover(
    args: &FluxBuild,
    choice: &Choice,
    earlier: &Earlier,
    rules: &Rules<'_>,
    settings: &Settings,
) -> Result<Found> {
    let checkout = Checkout::around(&choice.path, &args.chosen.local_sources, settings)?;
    let source = match &args.as_committed {
        Some(revision) => checkout.committed(revision)?,
        None => checkout.tree()?,
    };
    rules.with_beyond(&args.chosen, Some(&args.helm), earlier, |beyond| {
        checkout.discover(&source, &rules.options.limits, &|asked| rules.render(asked), beyond)
    })
}

/// What is wrong: with all Kustomizations and between them, or with those that are named.
fn errors<'f>(found: &'f Found, choice: &Choice) -> Vec<&'f Error> {
    if choice.names.is_empty() {
        return found.problems.iter().collect();
    }
    let mut elsewhere = found.elsewhere.iter();
    let mut errors = Vec::new();
    for node in &found.nodes {
        // There is one for each of these, in the same order.
        let absent = matches!(node.outcome, Outcome::Elsewhere).then(|| elsewhere.next()).flatten();
        match &node.outcome {
            Outcome::Failed(error) if choice.takes(node) => errors.push(error),
            _ => errors.extend(absent.filter(|_| choice.takes(node))),
        }
    }
    let releases = found.releases.iter().filter(|one| choice.takes(&found.nodes[one.owner]));
    errors.extend(releases.filter_map(|release| release.outcome.as_ref().err()));
    errors
}

/// Says that a Kustomization cannot be rendered here, which Flux may well do.
pub(super) fn left_out(error: &Error, console: &Console) {
    let message = format!("left out: {}", error.message());
    console.warn(&overlay::Warning { place: error.places()[0].clone(), message });
    if let Some(hint) = error.remedy() {
        console.say_line(format_args!("hint: {hint}"));
    }
}

/// Those that are chosen and render.
fn chosen<'f>(
    found: &'f Found,
    choice: &'f Choice,
) -> impl Iterator<Item = (usize, &'f Node, &'f Rendered)> {
    let nodes = found.nodes.iter().enumerate().filter(|(_, node)| choice.takes(node));
    nodes.filter_map(|(index, node)| match &node.outcome {
        Outcome::Rendered(rendered) => Some((index, node, rendered)),
        _ => None,
    })
}

/// The releases of a Kustomization that render.
fn releases(found: &Found, owner: usize) -> impl Iterator<Item = (&Release, &[Resource])> {
    let releases = found.releases.iter().filter(move |release| release.owner == owner);
    releases.filter_map(|release| Some((release, release.outcome.as_ref().ok()?.as_slice())))
}

fn documents(found: &Found, choice: &Choice, limits: &overlay::Limits) -> Result<String> {
    let mut out = String::new();
    let mut add = |name: String, text: String| {
        if !text.is_empty() {
            let separator = if out.is_empty() { "" } else { "---\n" };
            out.push_str(&format!("{separator}# {name}\n{text}"));
        }
    };
    for (index, node, rendered) in chosen(found, choice) {
        add(shown(node), build::print(&rendered.resources, limits)?);
        for (release, objects) in releases(found, index) {
            let objects = Resources::from(objects.to_vec());
            add(shown_release(release), build::print(&objects, limits)?);
        }
    }
    Ok(out)
}

fn data(found: &Found, choice: &Choice, errors: &[&Error], with_helm: bool) -> Result<String> {
    let release = |(release, objects): (&Release, &[Resource])| {
        let meta = &release.object.meta;
        let objects = objects.iter().map(|one| json::to_json(&one.value));
        Ok(json!({
            "namespace": meta.namespace.as_str(),
            "name": meta.name.as_str(),
            "objects": objects.collect::<Result<Vec<_>>>()?,
        }))
    };
    let one = |(index, node, rendered): (usize, &Node, &Rendered)| {
        let (object, source) = (&node.object, node.object.source());
        let objects = rendered.resources.iter().map(|one| json::to_json(&one.value));
        let mut data = json!({
            "namespace": object.meta.namespace.as_str(),
            "name": object.meta.name.as_str(),
            "path": object.spec.path.as_str(),
            "source": format!("{}/{}/{}", source.kind, source.namespace, source.name),
            "objects": objects.collect::<Result<Vec<_>>>()?,
        });
        if with_helm {
            data["helmReleases"] =
                releases(found, index).map(release).collect::<Result<Vec<Json>>>()?.into();
        }
        Ok(data)
    };
    let kustomizations: Vec<Json> = chosen(found, choice).map(one).collect::<Result<_>>()?;
    let problems: Vec<_> = errors.iter().map(|error| failure(error)).collect();
    Ok(format!("{:#}\n", json!({ "kustomizations": kustomizations, "problems": problems })))
}

/// What is printed of data in a format.
///
/// # Errors
/// Where it cannot be.
pub(super) fn formatted(data: &Json, format: DataFormat) -> Result<String> {
    match format {
        DataFormat::Json => Ok(format!("{data:#}\n")),
        DataFormat::Yaml => {
            let mut text = String::new();
            yaml::write(&json::from_json(data), &mut text)?;
            Ok(text)
        }
    }
}

/// Tells what is masked, and whether it could be decrypted.
fn tell(rules: Rules<'_>, found: &Found, choice: &Choice, console: &Console) {
    let mut findings = rules.findings();
    for node in found.nodes.iter().filter(|node| choice.takes(node)) {
        let meta = &node.object.meta;
        let key = (meta.namespace.to_string(), meta.name.to_string());
        let Some(found) = findings.remove(&key) else { continue };
        console.say_line(format_args!("{}: {}", shown(node), summary(&found, node)));
        for Finding { what, outcome, .. } in &found {
            if let decryption::Outcome::Fails(error) = outcome {
                let message = format!("does not decrypt: {}", error.message());
                let place = overlay::Place::file(what.clone());
                console.warn(&overlay::Warning { place, message });
                if let Some(hint) = error.remedy() {
                    console.say_line(format_args!("hint: {hint}"));
                }
            }
        }
    }
}

fn summary(findings: &[Finding], node: &Node) -> String {
    let count = |wanted: fn(&decryption::Outcome) -> bool| {
        findings.iter().filter(|finding| wanted(&finding.outcome)).count()
    };
    let all = findings.len();
    let decrypts = count(|outcome| matches!(outcome, decryption::Outcome::Decrypts));
    let untried = count(|outcome| matches!(outcome, decryption::Outcome::NoKeys));
    let (what, are) = if all == 1 {
        ("encrypted file or object", "is")
    } else {
        ("encrypted files and objects", "are")
    };
    let rest = match node.object.decryption {
        None => "Flux refuses encrypted Secrets, since spec.decryption is not set".to_owned(),
        Some(_) if untried == all => {
            "there are no keys to try: give some with SOPS_AGE_KEY_FILE, --keys or --ask-cluster"
                .to_owned()
        }
        Some(_) if decrypts == all => "the keys at hand decrypt all of it".to_owned(),
        Some(_) => format!("the keys at hand decrypt {decrypts} of {all}"),
    };
    format!("{all} {what} {are} masked; {rest}")
}
