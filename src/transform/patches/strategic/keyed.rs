//! Lists whose elements are told apart by keys: containers by name, ports by number and protocol.
//!
//! Elements that all have their keys, each list without two of a kind, are merged directly. All
//! other lists go through [`Walk`], which does what kustomize does in the order in which it does it:
//! there the accidents live.
//!
//! Source: kustomize `kyaml/yaml/walk/associative_sequence.go`, `kyaml/yaml/fns.go` (`ElementSetter`).

use ecow::EcoVec;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Conflict, DIRECTIVE, Merge, Merger, Outcome, directive, is_empty, value_text};
use crate::schema::Type;
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml::scalar;

/// Most elements that [`Walk`] takes: its time grows with their square.
const MAX_WALKED: usize = 5_000;

/// What tells an element apart; the second is blank where one key does.
type Identity<'a> = [&'a str; 2];

/// Merges the elements of a patch's list into those that are there.
pub(super) fn merge<'a>(
    merger: Merger<'a>,
    mut old: EcoVec<Value>,
    new: EcoVec<Value>,
    keys: &[&str],
    place: Type<'a>,
) -> Merge<EcoVec<Value>> {
    let used = used_keys(&[&old, &new], keys);
    let (Some(ids), Some(new_ids)) = (identities(&old, &used), identities(&new, &used)) else {
        let merged = Walk::new(merger, old, Some(new.clone()), place)?.run(keys)?;
        note_lost(merger, &new, &merged, keys);
        return Ok(merged);
    };
    let matches = matches(&ids, &new_ids);
    // With several keys kustomize moves what it found behind what it added.
    let in_old_order = used.len() > 1;
    merge_ordinary(merger, &mut old, &new, keys, &matches, in_old_order, place)
}

/// Notes which elements of the patch did not arrive, or were to delete something and did not.
fn note_lost(merger: Merger<'_>, new: &[Value], merged: &[Value], keys: &[&str]) {
    const REMEDY: &str = "give all keys, or the same ones, in the object and the patch";
    // Sets of scalars lose nothing, and the comparison would take long for long lists.
    if keys.is_empty() || new.len() > 100 || merged.len() > 1_000 {
        return;
    }
    for element in new {
        let Value::Map(map) = element else { continue };
        let deletes = map.get(DIRECTIVE).map(value_text) == Some("delete");
        if map.has(DIRECTIVE) && !deletes {
            continue;
        }
        let has_all = |one: &Value| {
            map.iter().filter(|(key, _)| key.text != DIRECTIVE).all(|(key, value)| {
                let found = one.get(&key.text);
                value.as_scalar().is_none() || found.map(value_text) == Some(value_text(value))
            })
        };
        let is_there = merged.iter().any(has_all);
        if deletes == is_there {
            let what = if deletes { "is not deleted" } else { "is lost" };
            merger.note_lost(format!("{} {what}: {REMEDY}", described(element, keys)));
        }
    }
}

/// An element by its keys: `element with containerPort "80"`.
fn described(element: &Value, keys: &[&str]) -> String {
    let texts = keys.iter().map(|key| (key, key_text(element, key)));
    let pairs: Vec<_> = texts
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| format!("{key} \"{text}\""))
        .collect();
    match pairs.as_slice() {
        [] => format!("element without {}", keys.join(" and ")),
        pairs => format!("element with {}", pairs.join(" and ")),
    }
}

/// Walks a list that the patch does not mention.
pub(super) fn keep<'a>(
    merger: Merger<'a>,
    mut old: EcoVec<Value>,
    keys: &[&str],
    place: Type<'a>,
) -> Merge<EcoVec<Value>> {
    if identities(&old, &used_keys(&[&old], keys)).is_none() {
        return Walk::new(merger, old, None, place)?.run(keys);
    }
    for element in old.make_mut() {
        merger.keep(element, place)?;
    }
    Ok(old)
}

/// Walks a list that only the patch has.
pub(super) fn settle<'a>(
    merger: Merger<'a>,
    new: EcoVec<Value>,
    keys: &[&str],
    place: Type<'a>,
) -> Merge<EcoVec<Value>> {
    if identities(&new, &used_keys(&[&new], keys)).is_none() {
        return Walk::shared(merger, new, place)?.run(keys);
    }
    let mut settled = EcoVec::with_capacity(new.len());
    for (index, mut element) in new.into_iter().enumerate() {
        if merger.settle(&mut element, place).map_err(|e| e.at(index))? && !is_empty(&element) {
            settled.push(element);
        }
    }
    Ok(settled)
}

/// Whether a walk changes nothing, provided that `settled` holds for each element.
pub(super) fn is_settled(list: &[Value], keys: &[&str], settled: impl Fn(&Value) -> bool) -> bool {
    list.is_empty()
        || identities(list, &used_keys(&[list], keys)).is_some() && list.iter().all(settled)
}

/// Takes every element out whose `key` is `text`, with nulls and empty mappings.
pub(super) fn remove_all(list: &mut EcoVec<Value>, key: &str, text: &str) {
    list.retain(|element| match element {
        Value::Map(map) => !map.is_empty() && map.get(key).map(value_text) != Some(text),
        other => !other.is_null(),
    });
}

/// The keys that some element has.
fn used_keys<'k>(lists: &[&[Value]], keys: &[&'k str]) -> Vec<&'k str> {
    let has = |key: &str| lists.iter().copied().flatten().any(|one| !key_text(one, key).is_empty());
    keys.iter().copied().filter(|key| has(key)).collect()
}

/// The text of an element's key; blank where it has none.
fn key_text<'v>(element: &'v Value, key: &str) -> &'v str {
    element.get(key).filter(|value| !is_empty(value)).map_or("", value_text)
}

/// What tells each element apart; `None` where one lacks a key or two are the same.
fn identities<'v>(list: &'v [Value], keys: &[&str]) -> Option<Vec<Identity<'v>>> {
    if keys.is_empty() || keys.len() > 2 {
        return None;
    }
    let mut seen = FxHashSet::default();
    list.iter()
        .map(|element| {
            let mut id = [""; 2];
            for (part, key) in id.iter_mut().zip(keys) {
                *part = key_text(element, key);
            }
            let whole = id[..keys.len()].iter().all(|part| !part.is_empty());
            (whole && seen.insert(id)).then_some(id)
        })
        .collect()
}

/// For each new element the old one of the same identity.
fn matches(old: &[Identity<'_>], new: &[Identity<'_>]) -> Vec<Option<usize>> {
    let index: FxHashMap<_, _> = old.iter().enumerate().map(|(at, id)| (id, at)).collect();
    new.iter().map(|id| index.get(id).copied()).collect()
}

fn merge_ordinary<'a>(
    merger: Merger<'a>,
    old: &mut EcoVec<Value>,
    new: &[Value],
    keys: &[&str],
    matches: &[Option<usize>],
    in_old_order: bool,
    place: Type<'a>,
) -> Merge<EcoVec<Value>> {
    let old = old.make_mut();
    let mut touched = vec![false; old.len()];
    let mut gone = vec![false; old.len()];
    let mut merged = EcoVec::with_capacity(old.len() + new.len());
    for (index, (element, found)) in new.iter().zip(matches).enumerate() {
        let Some(at) = *found else {
            merged.extend(merger.add(element.clone(), place).map_err(|e| e.at(index))?);
            continue;
        };
        touched[at] = true;
        let outcome = merger.merge(&mut old[at], element.clone(), place);
        match outcome.map_err(|e| e.at(index))? {
            // An element that is to replace another has no effect at all.
            Outcome::New(_) => {
                let name = described(element, &used_keys(&[new], keys));
                merger.note_lost(format!("{name} cannot be replaced, it stays as it is"));
            }
            Outcome::Kept => {}
            Outcome::Gone => {
                gone[at] = true;
                continue;
            }
        }
        if !in_old_order {
            gone[at] = true;
            merged.push(old[at].clone());
        }
    }
    for (at, element) in old.iter_mut().enumerate() {
        if !touched[at] {
            merger.keep(element, place)?;
        }
        if !gone[at] {
            merged.push(element.clone());
        }
    }
    Ok(merged)
}

/// A merge of two lists as kustomize performs it.
///
/// Elements are nodes that the lists point to, since kustomize changes them where they are.
struct Walk<'a> {
    merger: Merger<'a>,
    place: Type<'a>,
    nodes: Vec<Value>,
    old: Vec<usize>,
    /// `None` where the patch has no such list.
    new: Option<Vec<usize>>,
    /// Whether both lists are one: what only the patch has is merged with itself.
    is_shared: bool,
}

impl<'a> Walk<'a> {
    fn new(
        merger: Merger<'a>,
        old: EcoVec<Value>,
        new: Option<EcoVec<Value>>,
        place: Type<'a>,
    ) -> Merge<Self> {
        let count = old.len();
        let both = count + new.as_ref().map_or(0, EcoVec::len);
        if both > MAX_WALKED {
            let message = format!("more than {MAX_WALKED} elements without keys of their own");
            return Err(Conflict::limit(message));
        }
        let mut nodes: Vec<Value> = old.into_iter().collect();
        let new = new.map(|new| {
            nodes.extend(new);
            (count..nodes.len()).collect()
        });
        Ok(Self { merger, place, nodes, old: (0..count).collect(), new, is_shared: false })
    }

    fn shared(merger: Merger<'a>, list: EcoVec<Value>, place: Type<'a>) -> Merge<Self> {
        let walk = Self::new(merger, list, None, place)?;
        Ok(Self { is_shared: true, ..walk })
    }

    fn run(mut self, keys: &[&str]) -> Merge<EcoVec<Value>> {
        let keys = if keys.is_empty() { &[""] } else { keys };
        let mut wanted = self.identities(keys);
        if keys.len() > 1 {
            unite(&mut wanted);
        }
        let mut merged = Vec::new();
        let mut last_keys = Vec::new();
        for texts in &wanted {
            let (keys, texts) = usable(&wanted, texts, keys);
            self.element(&keys, &texts, &mut merged)?;
            last_keys = keys;
        }
        if !wanted.is_empty() {
            self.append_rest(&mut merged, &last_keys)?;
            self.old = merged;
        }
        Ok(self.old.iter().map(|&node| self.nodes[node].clone()).collect())
    }

    /// The texts of the keys of all elements, each once, those of the patch first.
    fn identities(&self, keys: &[&str]) -> Vec<Vec<String>> {
        let mut seen = FxHashSet::default();
        let all = self.new.iter().flatten().chain(&self.old);
        let texts = |&node: &usize| -> Vec<String> {
            let value = &self.nodes[node];
            let text = |key: &&str| match *key {
                "" => value_text(value),
                key => key_text(value, key),
            };
            keys.iter().map(|key| text(key).to_owned()).collect()
        };
        all.map(texts).filter(|texts| seen.insert(texts.clone())).collect()
    }

    /// Merges the pair of elements with these keys, and puts the result among the merged ones.
    fn element(&mut self, keys: &[&str], texts: &[String], merged: &mut Vec<usize>) -> Merge<()> {
        let one = [texts.to_vec()];
        let (found_by, found_texts) = usable(&one, texts, keys);
        let old = self.find(&self.old, &found_by, &found_texts);
        let new = match &self.new {
            Some(new) => self.find(new, &found_by, &found_texts),
            None => None,
        };
        let node = self.merge_pair(old, new)?.filter(|&node| !self.is_blank(node));
        let Some(node) = node else {
            let mut old = std::mem::take(&mut self.old);
            self.set(&mut old, None, keys, texts)?;
            self.old = old;
            return Ok(());
        };
        self.complete(node, keys, texts)?;
        self.set(merged, Some(node), keys, texts)
    }

    fn merge_pair(&mut self, old: Option<usize>, new: Option<usize>) -> Merge<Option<usize>> {
        let (merger, place) = (self.merger, self.place);
        match (old, new) {
            (None, None) => Ok(None),
            (Some(old), None) if self.is_shared => {
                let stays = merger.settle(&mut self.nodes[old], place)?;
                Ok(stays.then_some(old))
            }
            (Some(old), None) => match merger.keep(&mut self.nodes[old], place)? {
                Outcome::Gone => Ok(None),
                Outcome::Kept | Outcome::New(_) => Ok(Some(old)),
            },
            (None, Some(new)) => {
                let element = self.nodes[new].clone();
                self.elide(new);
                let Some(value) = merger.add(element, place)? else { return Ok(None) };
                self.nodes[new] = value;
                Ok(Some(new))
            }
            (Some(old), Some(new)) => {
                let element = self.nodes[new].clone();
                let mut value = std::mem::take(&mut self.nodes[old]);
                let outcome = merger.merge(&mut value, element, place);
                self.nodes[old] = value;
                self.elide(new);
                Ok(match outcome? {
                    Outcome::Gone => None,
                    Outcome::Kept => Some(old),
                    Outcome::New(value) => {
                        self.nodes[new] = value;
                        Some(new)
                    }
                })
            }
        }
    }

    /// Forgets the instruction of an element, which is obeyed once only.
    fn elide(&mut self, node: usize) {
        if let Value::Map(map) = &mut self.nodes[node]
            && map.get(DIRECTIVE).is_some_and(|value| directive(value_text(value)).is_ok())
        {
            map.remove(DIRECTIVE);
        }
    }

    fn is_blank(&self, node: usize) -> bool {
        let value = &self.nodes[node];
        value.is_null() || value.as_map().is_some_and(Map::is_empty)
    }

    /// Writes the keys by which an element was found into it where they are missing.
    fn complete(&mut self, node: usize, keys: &[&str], texts: &[String]) -> Merge<()> {
        for (key, text) in keys.iter().zip(texts).filter(|(_, text)| !text.is_empty()) {
            match &mut self.nodes[node] {
                Value::Map(map) if !key.is_empty() => {
                    if !map.has(key) {
                        map.push(Key::from(*key), written(text));
                    }
                }
                Value::Scalar(_) if key.is_empty() => {}
                other => return Err(not_a_mapping(other)),
            }
        }
        Ok(())
    }

    /// The first element of `list` with these keys.
    fn find(&self, list: &[usize], keys: &[&str], texts: &[String]) -> Option<usize> {
        let has = |node: usize| {
            let value = &self.nodes[node];
            if keys[0].is_empty() {
                return value_text(value) == texts[0];
            }
            let mut pairs = keys.iter().zip(texts);
            pairs.all(|(key, text)| value.get(key).is_some_and(|found| value_text(found) == text))
        };
        list.iter().copied().find(|&node| has(node))
    }

    /// Puts `element` in the place of every element with these keys, or at the end; without
    /// `element` they go.
    fn set(
        &self,
        list: &mut Vec<usize>,
        element: Option<usize>,
        keys: &[&str],
        texts: &[String],
    ) -> Merge<()> {
        let of_mappings = !keys[0].is_empty() && texts.first().is_some_and(|text| !text.is_empty());
        let mut is_there = false;
        let mut kept = Vec::with_capacity(list.len() + 1);
        for &node in list.iter().filter(|&&node| !self.is_blank(node)) {
            if self.nodes[node].as_map().is_none() && of_mappings {
                kept.push(node);
            } else if self.is_meant(&self.nodes[node], keys, texts)? {
                is_there = true;
                kept.extend(element);
            } else if !texts.is_empty() {
                // Nothing is kept where there are no texts to compare with.
                kept.push(node);
            }
        }
        if !is_there && let Some(element) = element.filter(|&node| !self.nodes[node].is_null()) {
            kept.push(element);
        }
        *list = kept;
        Ok(())
    }

    fn is_meant(&self, value: &Value, keys: &[&str], texts: &[String]) -> Merge<bool> {
        if texts.is_empty() {
            return Ok(false);
        }
        // A key without a text to compare with counts as equal.
        for (key, text) in keys.iter().zip(texts) {
            let equal = match value {
                Value::Scalar(_) if key.is_empty() => value_text(value) == text,
                Value::Map(map) if !key.is_empty() => {
                    map.get(key).is_some_and(|v| text.is_empty() || value_text(v) == text)
                }
                other => return Err(not_a_mapping(other)),
            };
            if !equal {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts what is left of the old list behind the merged elements, or in their place.
    fn append_rest(&self, merged: &mut Vec<usize>, keys: &[&str]) -> Merge<()> {
        for &node in &self.old {
            let value = &self.nodes[node];
            if keys[0].is_empty() {
                self.set(merged, Some(node), keys, &[value_text(value).to_owned()])?;
                continue;
            }
            let mut texts = Vec::new();
            for key in keys {
                match value {
                    Value::Map(map) if map.has(key) => {
                        texts.extend(map.get(key).map(|found| value_text(found).to_owned()));
                    }
                    Value::Map(_) | Value::Null => merged.push(node),
                    _ if value.is_null() => merged.push(node),
                    other => return Err(not_a_mapping(other)),
                }
            }
            if keys.len() > 1 {
                self.set(merged, None, keys, &texts)?;
            }
            self.set(merged, Some(node), keys, &texts)?;
        }
        Ok(())
    }
}

fn not_a_mapping(value: &Value) -> Conflict {
    Conflict::new(format!("list that merges by key has a {} as its element", value.kind_name()))
}

/// A scalar that kustomize writes itself: quoted where YAML 1.1 would read something else than text.
fn written(text: &str) -> Value {
    let quoted = !matches!(scalar::resolve_v2(text), Tag::Str | Tag::Merge | Tag::Timestamp);
    let style = if quoted { Style::Quoted } else { Style::Plain };
    Value::Scalar(Scalar { text: text.into(), style })
}

/// Takes elements for the same that differ in a blank only, and completes both.
fn unite(all: &mut [Vec<String>]) {
    // Without blanks only equal ones would be united, and each is there once.
    if !all.iter().flatten().any(String::is_empty) {
        return;
    }
    for i in 0..all.len() {
        let one = all[i].clone();
        for j in 0..all.len() {
            if let Some(both) = united(&one, &all[j]) {
                all[i].clone_from(&both);
                all[j] = both;
            }
        }
    }
}

/// Both, with each other's texts where one is blank; at least one has to be equal from the start.
fn united(one: &[String], other: &[String]) -> Option<Vec<String>> {
    let pairs = || one.iter().zip(other);
    let fits = pairs().all(|(a, b)| a == b || a.is_empty() || b.is_empty());
    if !fits || !pairs().any(|(a, b)| a == b) {
        return None;
    }
    Some(pairs().map(|(a, b)| if a.is_empty() { b.clone() } else { a.clone() }).collect())
}

/// The keys that any of `all` has, with the texts of one; all of them where none has any.
fn usable<'k>(
    all: &[Vec<String>],
    texts: &[String],
    keys: &[&'k str],
) -> (Vec<&'k str>, Vec<String>) {
    let is_used = |at: usize| all.iter().any(|texts| !texts[at].is_empty());
    if !(0..keys.len()).any(is_used) {
        return (keys.to_vec(), texts.to_vec());
    }
    let used = || (0..keys.len()).filter(|&at| is_used(at));
    (used().map(|at| keys[at]).collect(), used().map(|at| texts[at].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn element(name: usize, extra: usize) -> Value {
        let mut value = Value::map();
        value.set(&["name"], Value::string(format!("n{name}")));
        value.set(&["value"], Value::string(format!("v{extra}")));
        if extra.is_multiple_of(7) {
            value.set(&[DIRECTIVE], Value::string(["delete", "replace", "merge"][extra / 7 % 3]));
        }
        if extra.is_multiple_of(3) {
            value.set(&["port"], Value::string("p"));
        }
        value
    }

    /// Numbers without order, the same each time.
    fn scramble(state: &mut u64) -> usize {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 40).unwrap_or_default()
    }

    fn list(state: &mut u64) -> EcoVec<Value> {
        let mut names: Vec<usize> = (0..6).filter(|_| scramble(state).is_multiple_of(2)).collect();
        let by = (scramble(state) % 5).min(names.len());
        names.rotate_left(by);
        names.iter().map(|&name| element(name, scramble(state) % 30)).collect()
    }

    #[test]
    fn the_direct_way_ends_where_the_walk_does() {
        let schema = Schema::builtin();
        let lost = std::cell::RefCell::default();
        let merger = Merger { schema: &schema, lost: &lost };
        let mut state = 1;
        for _ in 0..2_000 {
            let (old, new) = (list(&mut state), list(&mut state));
            for keys in [&["name"][..], &["name", "value"], &["name", "port"]] {
                let direct = merge(merger, old.clone(), new.clone(), keys, Type::default());
                let walked = Walk::new(merger, old.clone(), Some(new.clone()), Type::default())
                    .and_then(|walk| walk.run(keys));
                assert_eq!(direct, walked, "{keys:?}\n{old:?}\n{new:?}");
                let direct = settle(merger, new.clone(), keys, Type::default());
                let walked = Walk::shared(merger, new.clone(), Type::default())
                    .and_then(|walk| walk.run(keys));
                assert_eq!(direct, walked, "{keys:?}\n{new:?}");
                let direct = keep(merger, old.clone(), keys, Type::default());
                let walked = Walk::new(merger, old.clone(), None, Type::default())
                    .and_then(|walk| walk.run(keys));
                assert_eq!(direct, walked, "{keys:?}\n{old:?}");
            }
        }
    }

    #[test]
    fn long_lists_with_keys_are_merged_and_without_refused() {
        let schema = Schema::builtin();
        let lost = std::cell::RefCell::default();
        let merger = Merger { schema: &schema, lost: &lost };
        let many: EcoVec<Value> = (0..100_000).map(|name| element(name, 1)).collect();
        let merged =
            merge(merger, many.clone(), many.clone(), &["name"], Type::default()).expect("short");
        assert_eq!(merged.len(), many.len());
        let error =
            merge(merger, many.clone(), many, &["value"], Type::default()).expect_err("too long");
        assert!(error.is_limit);
    }
}
