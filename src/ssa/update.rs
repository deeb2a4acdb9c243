//! Who owns what after an apply or an update, and whom an apply would take a field from.
//!
//! Source: structured-merge-diff `merge/update.go`, `merge/conflict.go`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ecow::EcoString;
use serde_json::Value;

use super::compare::Comparison;
use super::path::{Path, same};
use super::set::{FieldSet, Filter};
use super::shown::quoted;
use super::typed::{Duplicates, Type};

/// What one manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The fields.
    pub fields: FieldSet,
    /// The version of the API in which the fields are named.
    pub version: EcoString,
    /// By an apply, in contrast to an update.
    pub applied: bool,
}

/// All managers of an object.
pub type Managers = BTreeMap<String, Owned>;

/// The versions in which one kind of object can be had.
pub trait Versions {
    /// The type of the object in a version; `None` where there is no such version any more.
    fn type_of(&self, version: &str) -> Option<Type<'_>>;

    /// The object in another version; both exist.
    ///
    /// # Errors
    /// Where the object cannot be converted. That it does not fit its type there is found out by
    /// whoever asks.
    fn convert(&self, value: &Value, from: &str, to: &str) -> Result<Value, String>;
}

/// A kind that has one type in every version, e.g. in a test.
#[derive(Clone, Copy, Debug)]
pub struct Unversioned<'s>(pub Type<'s>);

impl Versions for Unversioned<'_> {
    fn type_of(&self, _: &str) -> Option<Type<'_>> {
        Some(self.0)
    }

    fn convert(&self, value: &Value, _: &str, _: &str) -> Result<Value, String> {
        Ok(value.clone())
    }
}

/// A field that an apply would take from another manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it.
    pub manager: String,
    /// The field.
    pub path: Path,
}

/// Why an object was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Others own fields that would change; by manager.
    Conflicts(Vec<Conflict>),
    /// A value does not fit its type, or cannot be converted.
    Invalid(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conflicts = match self {
            Self::Invalid(message) => return f.write_str(message),
            Self::Conflicts(conflicts) => conflicts,
        };
        if let [Conflict { manager, path }] = &**conflicts {
            return write!(f, "conflict with {}: {path}", quoted(manager));
        }
        let mut last = None;
        for Conflict { manager, path } in conflicts {
            if last != Some(manager) {
                let line = if last.is_some() { "\n" } else { "" };
                write!(f, "{line}conflicts with {}:", quoted(manager))?;
                last = Some(manager);
            }
            write!(f, "\n- {path}")?;
        }
        Ok(())
    }
}

/// How objects of one kind are changed.
pub struct Updater<'a> {
    /// Its versions.
    pub versions: &'a dyn Versions,
    /// Which fields have owners, by version; all in a version that has no filter.
    pub filters: &'a BTreeMap<EcoString, Filter>,
    /// Gives the object back from an apply that changes nothing.
    pub return_unchanged: bool,
}

type Step<T> = Result<T, Refused>;

impl Updater<'_> {
    /// Notes that `manager` has changed `live` to `new`, both in `version`.
    ///
    /// # Errors
    /// Where an object does not fit its type or cannot be converted.
    pub fn update(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        managers: Managers,
        manager: &str,
    ) -> Step<Managers> {
        let managers = self.reconciled(managers)?;
        let (mut managers, compared) = self.taken(live, new, version, managers, manager, true)?;
        let before = managers.remove(manager).map(|owned| owned.fields).unwrap_or_default();
        let fields =
            before.difference(&compared.removed).union(&compared.modified).union(&compared.added);
        let fields = self.filtered(fields, version);
        if !fields.is_empty() {
            let owned = Owned { fields, version: version.into(), applied: false };
            managers.insert(manager.into(), owned);
        }
        Ok(managers)
    }

    /// Applies `config` as `manager` to `live`, both in `version`. The object is `None` where it
    /// does not change.
    ///
    /// # Errors
    /// Where others own fields that would change, unless forced; where a value does not fit its
    /// type or cannot be converted.
    pub fn apply(
        &self,
        live: &Value,
        config: &Value,
        version: &str,
        managers: Managers,
        manager: &str,
        force: bool,
    ) -> Step<(Option<Value>, Managers)> {
        let mut managers = self.reconciled(managers)?;
        let kind = self.type_of(version)?;
        let merged =
            kind.merge(live, config).map_err(|error| invalid("failed to merge config", error))?;
        let fields =
            kind.field_set(config).map_err(|error| invalid("failed to get field set", error))?;
        let owned = Owned {
            fields: self.filtered(fields, version),
            version: version.into(),
            applied: true,
        };
        let last = managers.insert(manager.into(), owned);
        let new = match last {
            Some(last) if !last.fields.is_empty() => self
                .pruned(merged, version, &managers, manager, &last)
                .map_err(|error| prefixed("failed to prune fields", error))?,
            _ => merged,
        };
        let (managers, _) = self.taken(live, &new, version, managers, manager, force)?;
        let changed = self.return_unchanged || !same(live, &new);
        Ok((changed.then_some(new), managers))
    }

    fn type_of(&self, version: &str) -> Step<Type<'_>> {
        let message = || Refused::Invalid(format!("no version {version:?}"));
        self.versions.type_of(version).ok_or_else(message)
    }

    fn filtered(&self, fields: FieldSet, version: &str) -> FieldSet {
        match self.filters.get(version) {
            Some(filter) => fields.filtered(filter),
            None => fields,
        }
    }

    /// The value in another version; `None` where there is no such version.
    fn convert<'v>(
        &self,
        value: Cow<'v, Value>,
        from: &str,
        to: &str,
        what: &str,
    ) -> Step<Option<Cow<'v, Value>>> {
        let Some(kind) = self.versions.type_of(to) else { return Ok(None) };
        if from == to {
            return Ok(Some(value));
        }
        let converted = self.versions.convert(&value, from, to);
        let value = converted.map_err(|error| invalid(what, error))?;
        // What another version does not know is an error, and so are elements that are there twice.
        kind.validate(&value, Duplicates::Refused).map_err(|error| invalid(what, error))?;
        Ok(Some(Cow::Owned(value)))
    }

    /// What managers own by the schema of today. Those of versions that are gone are dropped.
    fn reconciled(&self, managers: Managers) -> Step<Managers> {
        let mut out = Managers::new();
        for (manager, mut owned) in managers {
            let Some(kind) = self.versions.type_of(&owned.version) else { continue };
            let changed = kind.reconcile(&owned.fields);
            if let Some(fields) = changed.map_err(|error| Refused::Invalid(error.to_string()))? {
                owned.fields = fields;
            }
            out.insert(manager, owned);
        }
        Ok(out)
    }

    /// Takes from all others what `manager` changes, and what is gone.
    fn taken(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        mut managers: Managers,
        manager: &str,
        force: bool,
    ) -> Step<(Managers, Comparison)> {
        let compare = |kind: Type<'_>, live: &Value, new: &Value, version: &str| {
            let compared = kind.compare(live, new);
            let compared = compared.map_err(|error| invalid("failed to compare objects", error))?;
            Ok::<_, Refused>(compared.filtered(self.filters.get(version)))
        };
        let mut by_version: BTreeMap<EcoString, (Comparison, FieldSet)> = BTreeMap::new();
        let compared = compare(self.type_of(version)?, live, new, version)?;
        let changed = compared.modified.union(&compared.added);
        by_version.insert(version.into(), (compared, changed));
        let mut conflicts = Vec::new();
        let mut left = Managers::new();
        for (name, mut owned) in std::mem::take(&mut managers) {
            if name == manager {
                left.insert(name, owned);
                continue;
            }
            if !by_version.contains_key(&owned.version) {
                let to = &owned.version;
                let old = Cow::Borrowed(live);
                let old = self.convert(old, version, to, "failed to convert old object")?;
                let new = Cow::Borrowed(new);
                let new = self.convert(new, version, to, "failed to convert new object")?;
                let (Some(old), Some(new)) = (old, new) else { continue };
                let compared = compare(self.type_of(to)?, &old, &new, to)?;
                let changed = compared.modified.union(&compared.added);
                by_version.insert(to.clone(), (compared, changed));
            }
            let Some((compared, changed)) = by_version.get(&owned.version) else { continue };
            let conflict = owned.fields.intersection(changed);
            if !conflict.is_empty() {
                owned.fields = owned.fields.difference(&conflict);
                let paths = conflict.paths().into_iter();
                conflicts.extend(paths.map(|path| Conflict { manager: name.clone(), path }));
            }
            owned.fields = owned.fields.difference(&compared.removed);
            left.insert(name, owned);
        }
        if !force && !conflicts.is_empty() {
            return Err(Refused::Conflicts(conflicts));
        }
        left.retain(|_, owned| !owned.fields.is_empty());
        let compared = by_version.remove(version).map(|(compared, _)| compared);
        Ok((left, compared.unwrap_or_default()))
    }

    /// The merged object without what `manager` applied the last time and no longer does, as far
    /// as nobody else owns it.
    fn pruned(
        &self,
        merged: Value,
        version: &str,
        managers: &Managers,
        manager: &str,
        last: &Owned,
    ) -> Step<Value> {
        // Who applies all that was applied the last time drops nothing. (A filter by inclusion may
        // cut a field off from the element that holds it; then the long way is taken.)
        let included = matches!(self.filters.get(version), Some(Filter::Include(_)));
        let keeps = managers.get(manager).is_some_and(|owned| last.fields.is_within(&owned.fields));
        if last.version == version && keeps && !included {
            return Ok(merged);
        }
        let what = "failed to convert merged object to last applied version";
        let at_last = self.convert(Cow::Borrowed(&merged), version, &last.version, what)?;
        let Some(at_last) = at_last else { return Ok(merged) };
        let kind = self.type_of(&last.version)?;
        let named = last.fields.with_named_fields(kind);
        let mut pruned = Value::clone(&at_last);
        kind.remove(&mut pruned, &named);
        let (pruned, pruned_version) =
            self.with_owned(&at_last, pruned, &last.version, managers)
                .map_err(|error| prefixed("failed add back owned items", error))?;
        let what = "failed add back dangling items: failed to convert pruned object to last \
                    applied version";
        let pruned = self.convert(Cow::Owned(pruned), &pruned_version, &last.version, what)?;
        let Some(pruned) = pruned else { return Ok(merged) };
        let of_pruned = named_fields(kind, &pruned, "pruned object in last applied version")?;
        let of_merged = named_fields(kind, &at_last, "merged object in last applied version")?;
        let gone = of_merged.difference(&of_pruned).intersection(&named);
        let mut at_last = at_last.into_owned();
        kind.remove(&mut at_last, &gone);
        let what = "failed to convert pruned object";
        let pruned = self.convert(Cow::Owned(at_last), &last.version, version, what)?;
        Ok(pruned.map_or(merged, Cow::into_owned))
    }

    /// Puts back what somebody owns. Source: `addBackOwnedItems`. The answer is in the version that
    /// it says.
    fn with_owned(
        &self,
        merged: &Value,
        pruned: Value,
        version: &EcoString,
        managers: &Managers,
    ) -> Step<(Value, EcoString)> {
        let mut owned: BTreeMap<&EcoString, FieldSet> = BTreeMap::new();
        for manager in managers.values() {
            let fields = owned.entry(&manager.version).or_default();
            *fields = fields.union(&manager.fields);
        }
        let mut state = (Cow::Borrowed(merged), pruned, version.clone());
        // First those of the version that was pruned: a conversion may need what they own.
        if let Some(fields) = owned.remove(version) {
            state = self.with_owned_in(state, version, &fields)?;
        }
        for (version, fields) in owned {
            state = self.with_owned_in(state, version, &fields)?;
        }
        Ok((state.1, state.2))
    }

    fn with_owned_in<'v>(
        &self,
        (merged, pruned, from): (Cow<'v, Value>, Value, EcoString),
        to: &EcoString,
        fields: &FieldSet,
    ) -> Step<(Cow<'v, Value>, Value, EcoString)> {
        if self.versions.type_of(to).is_none() {
            return Ok((merged, pruned, from));
        }
        let kind = self.type_of(to)?;
        let what = |what| format!("failed to convert {what} object at version {to}");
        let missing = || Refused::Invalid(format!("no version {to:?}"));
        let merged = self.convert(merged, &from, to, &what("merged"))?.ok_or_else(missing)?;
        let pruned =
            self.convert(Cow::Owned(pruned), &from, to, &what("pruned"))?.ok_or_else(missing)?;
        let of_merged = named_fields(kind, &merged, &format!("merged object at version {to}"))?;
        let of_pruned = named_fields(kind, &pruned, &format!("pruned object at version {to}"))?;
        let kept = of_pruned.union(&fields.with_named_fields(kind));
        let mut back = Value::clone(&merged);
        kind.remove(&mut back, &of_merged.difference(&kept));
        Ok((merged, back, to.clone()))
    }
}

fn named_fields(kind: Type<'_>, value: &Value, what: &str) -> Step<FieldSet> {
    let set = kind.field_set(value);
    let what = format!("failed to create field set from {what}");
    Ok(set.map_err(|error| invalid(&what, error))?.with_named_fields(kind))
}

fn invalid(what: &str, why: impl fmt::Display) -> Refused {
    Refused::Invalid(format!("{what}: {why}"))
}

fn prefixed(what: &str, why: Refused) -> Refused {
    match why {
        Refused::Invalid(why) => invalid(what, why),
        conflicts @ Refused::Conflicts(_) => conflicts,
    }
}
