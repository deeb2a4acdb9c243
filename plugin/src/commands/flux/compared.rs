//! `flux diff`: what is rendered differently at two revisions, without a cluster.

use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::flux::api::Meta;
use overlay::flux::compare::{Change, Changed, Compared, Comparison, Failure, compare};
use overlay::flux::discover::drawing::named;
use overlay::flux::discover::{Found, Node, Release};
use overlay::flux::drift;
use overlay::flux::helm::Earlier;
use overlay::flux::report;
use overlay::flux::sources::{Source, merge_base};
use serde_json::{Value as Json, json};

use super::cluster::{self, Need};
use super::rendered::{formatted, left_out};
use super::repository::{Checkout, Choice, Rules, Secrets, shown, shown_release};
use crate::args::{Connection, FluxDiff};
use crate::exit;
use crate::output::{self, Console, diff, visible};
use crate::settings::Settings;

/// What the files are called that nobody has committed.
const TREE: &str = "working tree";

/// What is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Range {
    before: String,
    /// Where the later side has left it, and not it itself.
    is_since: bool,
    /// The working tree, where there is none.
    after: Option<String>,
}

impl Range {
    /// Reads `A`, `A..B` and `A...B`, of which B may be left out.
    fn parse(text: &str) -> Self {
        let or_head = |text: &str| if text.is_empty() { "HEAD" } else { text }.to_owned();
        let after = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if let Some((before, rest)) = text.split_once("...") {
            return Self { before: or_head(before), is_since: true, after: after(rest) };
        }
        let (before, rest) = text.split_once("..").unwrap_or((text, ""));
        Self { before: or_head(before), is_since: false, after: after(rest) }
    }

    /// The revision that comes before.
    fn begin(&self, checkout: &Checkout) -> Result<String> {
        let end = self.after.as_deref().unwrap_or("HEAD");
        match self.is_since {
            true => merge_base(&checkout.top, &self.before, end),
            false => Ok(self.before.clone()),
        }
    }
}

/// Both sides.
struct Sides {
    names: (String, String),
    before: Found,
    after: Found,
}

/// Runs it; 1 says that there are changes.
///
/// # Errors
/// Where a name, a path or a revision is not there.
pub fn run(
    args: &FluxDiff,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let need = if args.inputs.ask_cluster { Need::Required } else { Need::None };
    cluster::with(need, connection, settings, console, |cluster| {
        let mut choice = Choice::of(&args.chosen, settings)?;
        let rules = Rules::new(&args.inputs, Secrets::StandIns, cluster, settings)?.remembering();
        let earlier = Earlier::default();
        let render = |choice: &Choice| rendered(args, choice, &earlier, &rules, settings);
        let sides = choice.settle(settings, render, |sides| vec![&sides.before, &sides.after])?;
        if let Err(error) = choice.check(&[&sides.before, &sides.after]) {
            sides.after.problems.iter().for_each(|problem| console.error(problem));
            return Err(error);
        }
        let is_new = |warning: &&overlay::Warning| !sides.before.warnings.contains(warning);
        sides.after.warnings.iter().filter(is_new).for_each(|warning| console.warn(warning));
        let compared = compare(&sides.before, &sides.after, &|node| choice.takes(node))?;
        show(args, &choice, &sides, &compared, settings, console)
    })
}

fn rendered(
    args: &FluxDiff,
    choice: &Choice,
    earlier: &Earlier,
    rules: &Rules<'_>,
    settings: &Settings,
) -> Result<Sides> {
    let range = Range::parse(args.revision.as_deref().unwrap_or("HEAD"));
    let checkout = Checkout::around(&choice.path, &args.chosen.local_sources, settings)?;
    let begin = range.begin(&checkout)?;
    let before = checkout.committed(&begin)?;
    let after = match &range.after {
        Some(revision) => checkout.committed(revision)?,
        None => checkout.tree()?,
    };
    if !checkout.has_entry(&before) && !checkout.has_entry(&after) {
        let place = Place::file(&*choice.path.to_string_lossy());
        return Err(Error::new(ErrorKind::Missing, place, "no such file or directory"));
    }
    let limits = &rules.options.limits;
    let (before, after) = rules.with_beyond(&args.chosen, Some(&args.helm), earlier, |beyond| {
        let render = |source: &Source| match checkout.has_entry(source) {
            true => checkout.discover(source, limits, &|asked| rules.render(asked), beyond),
            false => Ok(Found::default()),
        };
        Ok::<_, Error>((render(&before)?, render(&after)?))
    })?;
    let begin = if range.is_since { short(&begin) } else { begin };
    let names = (begin, range.after.unwrap_or_else(|| TREE.to_owned()));
    Ok(Sides { names, before, after })
}

/// A commit as Git shortens it.
fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// A Kustomization or release as it is shown.
struct Shown<'a> {
    name: String,
    change: Option<Change>,
    objects: &'a [Changed],
    failure: Option<Failure<'a>>,
}

impl<'a> Shown<'a> {
    /// All of them, the releases last.
    fn all(compared: &'a Comparison<'_>) -> Vec<Self> {
        let kustomizations = compared.kustomizations.iter().map(|one| Self::of(one, shown));
        let releases = compared.releases.iter().map(|one| Self::of(one, shown_release));
        kustomizations.chain(releases).collect()
    }

    fn of<T>(one: &'a Compared<'_, T>, shown: fn(&T) -> String) -> Self {
        let name = one.either().map(shown).unwrap_or_default();
        Self { name, change: one.change(), objects: &one.objects, failure: one.failure }
    }
}

fn show(
    args: &FluxDiff,
    choice: &Choice,
    sides: &Sides,
    compared: &Comparison<'_>,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let all = Shown::all(compared);
    match args.output {
        Some(format) => {
            let data = data(sides, compared, args.helm.with_helm);
            console.print(&formatted(&data, format)?);
        }
        None => {
            for one in &all {
                console.print(&text(one, &sides.names, settings.colour)?);
            }
        }
    }
    let mut has_failed = false;
    for (one, failure) in all.iter().filter_map(|one| Some((one, one.failure?))) {
        has_failed |= tell(&one.name, failure, &sides.names, console);
    }
    let old: Vec<String> = sides.before.problems.iter().map(ToString::to_string).collect();
    let is_told = |problem: &Error| {
        all.iter().any(|one| {
            matches!(one.failure, Some(Failure::After(error)) if error.to_string() == problem.to_string())
        })
    };
    let new = sides.after.problems.iter().filter(|problem| !old.contains(&problem.to_string()));
    for problem in new.filter(|problem| !is_told(problem)) {
        let warning = overlay::Warning {
            place: problem.places()[0].clone(),
            message: problem.message().into(),
        };
        console.warn(&warning);
    }
    if choice.names.is_empty() {
        sides.after.elsewhere.iter().for_each(|error| left_out(error, console));
    }
    console.say_line(summary(compared));
    Ok(match (has_failed, all.iter().any(|one| one.change.is_some())) {
        (true, _) => exit::USAGE,
        (false, false) => exit::OK,
        (false, true) => exit::CHANGES,
    })
}

/// Says why something cannot be compared, and whether that is a failure.
fn tell(name: &str, failure: Failure<'_>, names: &(String, String), console: &Console) -> bool {
    match failure {
        Failure::After(error) => {
            console.error(error);
            true
        }
        Failure::Before(error) => {
            console.say_line(format_args!(
                "{name} cannot be compared: at {} it does not render:",
                names.0
            ));
            console.error(error);
            true
        }
        Failure::Elsewhere => false,
    }
}

fn summary(compared: &Comparison<'_>) -> String {
    let all = Shown::all(compared);
    let count = |change: Change| {
        let objects = all.iter().flat_map(|one| one.objects);
        objects.filter(|object| object.change() == change).count()
    };
    let all_kinds = [Change::Created, Change::Changed, Change::Deleted];
    let counts = all_kinds.map(|change| (count(change), change.word()));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let (kustomizations, releases) = all.split_at(compared.kustomizations.len());
    let groups = [(kustomizations, "Kustomization"), (releases, "HelmRelease")];
    let groups: Vec<_> = groups
        .into_iter()
        .filter(|(all, kind)| !all.is_empty() || *kind == "Kustomization")
        .collect();
    let changed = |all: &[Shown<'_>]| all.iter().filter(|one| one.change.is_some()).count();
    let total: usize = groups.iter().map(|(all, _)| changed(all)).sum();
    let named = |(all, kind): &(&[Shown<'_>], &str)| {
        let plural = if all.len() == 1 { "" } else { "s" };
        match total {
            0 => format!("{} {kind}{plural}", all.len()),
            _ => format!("{} of {} {kind}{plural}", changed(all), all.len()),
        }
    };
    let named = groups.iter().map(named).collect::<Vec<_>>().join(" and ");
    let differ = if total == 1 { "differs" } else { "differ" };
    match (total, counts.is_empty()) {
        (0, true) => format!("no changes in {named}"),
        (_, true) => format!("{named} {differ}"),
        (_, false) => format!("{named} {differ}; objects: {}", counts.join(", ")),
    }
}

fn text(one: &Shown<'_>, names: &(String, String), is_coloured: bool) -> Result<String> {
    let Some(change) = one.change else { return Ok(String::new()) };
    let mut out = report::folder_line(&visible(&one.name), change.word());
    for object in one.objects {
        out.push_str(&changed(object, names, is_coloured)?);
    }
    Ok(out)
}

fn changed(object: &Changed, names: &(String, String), is_coloured: bool) -> Result<String> {
    let name = visible(&named(&object.id));
    let text = |object: Option<&Json>| diff::document(object).map(|text| visible(&text));
    let (before, after) = (text(object.before.as_ref())?, text(object.after.as_ref())?);
    let sides = (names.0.as_str(), names.1.as_str());
    let difference = diff::between(sides, &name, &before, &after, is_coloured);
    Ok(format!("► {name} {}\n{difference}", object.change().word()))
}

fn data(sides: &Sides, compared: &Comparison<'_>, with_helm: bool) -> Json {
    let failures = Shown::all(compared).into_iter().filter_map(|one| match one.failure? {
        Failure::Before(error) | Failure::After(error) => Some(output::failure(error)),
        Failure::Elsewhere => None,
    });
    let mut data = json!({
        "from": sides.names.0,
        "to": sides.names.1,
        "kustomizations": entries(&compared.kustomizations, |node: &Node| &node.object.meta),
        "problems": failures.collect::<Vec<_>>(),
    });
    if with_helm {
        let releases = entries(&compared.releases, |release: &Release| &release.object.meta);
        data["helmReleases"] = releases.into();
    }
    data
}

/// Those that differ.
fn entries<T>(compared: &[Compared<'_, T>], meta: fn(&T) -> &Meta) -> Vec<Json> {
    let one = |one: &Compared<'_, T>| {
        let (change, meta) = (one.change()?, meta(one.either()?));
        Some(json!({
            "namespace": meta.namespace.as_str(),
            "name": meta.name.as_str(),
            "change": change.word(),
            "objects": one.objects.iter().map(entry).collect::<Vec<_>>(),
        }))
    };
    compared.iter().filter_map(one).collect()
}

/// An object with its differences, or with all of it where it is new or gone.
fn entry(object: &Changed) -> Json {
    let mut entry = super::tree::resource(&object.id);
    entry["change"] = object.change().word().into();
    match (&object.before, &object.after) {
        (Some(before), Some(after)) => {
            let changes = drift::differences(before, after);
            entry["differences"] = changes.iter().map(drift::Change::operation).collect();
        }
        (one, other) => entry["object"] = one.as_ref().or(other.as_ref()).cloned().into(),
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_written_as_for_git() {
        let range = |before: &str, is_since, after: Option<&str>| Range {
            before: before.into(),
            is_since,
            after: after.map(str::to_owned),
        };
        for (text, wanted) in [
            ("HEAD", range("HEAD", false, None)),
            ("v1..v2", range("v1", false, Some("v2"))),
            ("main...", range("main", true, None)),
            ("main...feature", range("main", true, Some("feature"))),
            ("v1.2..", range("v1.2", false, None)),
            ("..v2", range("HEAD", false, Some("v2"))),
        ] {
            assert_eq!(Range::parse(text), wanted, "{text}");
        }
    }
}
