//! Labels and annotations that kustomize keeps as one.
//!
//! Where kustomize adds a label to an object and to the selector and the template in it, it hangs one
//! and the same node into all three. Whatever sets one of them later, be it a patch or a replacement
//! of a layer above, sets them all. Values here share nothing, so an object remembers which of its
//! fields are such twins, and every step that may set one asks for `Twins::settle`.
//!
//! Source: kustomize `api/filters/filtersutil/setters.go` makes the node, `kyaml/yaml/fns.go`
//! (`FieldSetter`) hangs it in and writes into it.

use std::sync::Arc;

use ecow::{EcoString, EcoVec};

use crate::value::Value;

/// The way to a map: keys, and positions in the lists between them.
pub type Way = Vec<Step>;

/// One step of a way.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Into the value under a key.
    Key(EcoString),
    /// Into an element of a list.
    Index(usize),
}

/// What a patch does to an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// It sets it, be it to what it is already.
    Set,
    /// It puts another map in the place of the one that has it, which ends what was shared.
    Replaced,
}

/// The entries of one key that were added in one go.
#[derive(Clone, Debug)]
pub struct Twins {
    /// The maps that have it, in the order in which kustomize walks an object: that of the keys.
    maps: Arc<[Way]>,
    key: EcoString,
    value: Value,
}

impl Twins {
    /// The entries under `key` in `maps`, which hold `value` now.
    #[must_use]
    pub fn new(maps: Arc<[Way]>, key: EcoString, value: Value) -> Self {
        Self { maps, key, value }
    }
}

/// Makes all twins of `object` what the last of them was set to.
///
/// `said` tells what a patch does to the entry under a key of the map at the end of a way. Gives the
/// entries back that were set along with another one, as paths.
pub fn settle(
    all: &mut EcoVec<Twins>,
    object: &mut Value,
    said: &dyn Fn(&[Step], &str) -> Said,
) -> Vec<String> {
    let mut along = Vec::new();
    if all.is_empty() {
        return along;
    }
    let mut kept = EcoVec::new();
    for mut twins in std::mem::take(all) {
        if twins.settle(object, said, &mut along) {
            kept.push(twins);
        }
    }
    *all = kept;
    along
}

/// Takes the annotations of the object itself out: they are written anew, and share nothing then.
pub fn part_with_annotations(all: &mut EcoVec<Twins>) {
    let own = |way: &Way| *way == [Step::Key("metadata".into()), Step::Key("annotations".into())];
    if all.iter().all(|twins| !twins.maps.iter().any(own)) {
        return;
    }
    let part = |mut twins: Twins| {
        twins.maps = twins.maps.iter().filter(|way| !own(way)).cloned().collect();
        (twins.maps.len() > 1).then_some(twins)
    };
    *all = std::mem::take(all).into_iter().filter_map(part).collect();
}

impl Twins {
    /// False where less than two of them are left.
    fn settle(
        &mut self,
        object: &mut Value,
        said: &dyn Fn(&[Step], &str) -> Said,
        along: &mut Vec<String>,
    ) -> bool {
        let mut last = None;
        let mut left = Vec::with_capacity(self.maps.len());
        for way in &*self.maps {
            let entry = follow(object, way).and_then(|map| map.get(&self.key));
            let said = said(way, &self.key);
            let Some(entry) = entry.filter(|_| said != Said::Replaced) else {
                continue;
            };
            left.push(way);
            if differ(entry, &self.value) || said == Said::Set {
                last = Some(entry.clone());
            }
        }
        if let Some(last) = last {
            for way in &left {
                let entry = follow_mut(object, way).and_then(|map| map.get_mut(&self.key));
                let Some(entry) = entry else { continue };
                let is_silent = said(way, &self.key) == Said::Nothing;
                if is_silent && !differ(entry, &self.value) && differ(entry, &last) {
                    along.push(shown(way, &self.key));
                }
                *entry = last.clone();
            }
            self.value = last;
        }
        let is_twin = left.len() > 1;
        if left.len() < self.maps.len() {
            self.maps = left.into_iter().cloned().collect();
        }
        is_twin
    }
}

/// The path of an entry: `spec.selector.app`.
fn shown(way: &[Step], key: &str) -> String {
    let mut path = String::new();
    for step in way {
        match step {
            Step::Key(key) => path.extend([key, "."]),
            Step::Index(index) => path.push_str(&format!("{index}.")),
        }
    }
    path + key
}

/// Whether two entries say something else; quotes alone, which a merge may add, are no change.
fn differ(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Scalar(one), Value::Scalar(other)) => {
            one.text != other.text || one.tag() != other.tag()
        }
        _ => one != other,
    }
}

/// What a strategic merge patch does to the entry under `key` at the end of a way without lists.
#[must_use]
pub fn said_by(patch: &Value, way: &[Step], key: &str) -> Said {
    let mut map = patch;
    for step in way {
        if map.get("$patch").is_some() {
            return Said::Replaced;
        }
        let Step::Key(key) = step else { return Said::Nothing };
        let Some(below) = map.get(key) else { return Said::Nothing };
        map = below;
    }
    match map.get(key) {
        _ if map.get("$patch").is_some() => Said::Replaced,
        Some(entry) if !entry.is_null() => Said::Set,
        _ => Said::Nothing,
    }
}

fn follow<'a>(value: &'a Value, way: &[Step]) -> Option<&'a Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.as_list()?.get(*index),
    })
}

fn follow_mut<'a>(value: &'a mut Value, way: &[Step]) -> Option<&'a mut Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.as_list_mut()?.make_mut().get_mut(*index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(keys: &[&str]) -> Way {
        keys.iter().map(|key| Step::Key((*key).into())).collect()
    }

    fn object(one: &str, other: &str) -> Value {
        let mut value = Value::map();
        value.set(&["a", "k"], Value::string(one));
        value.set(&["b", "k"], Value::string(other));
        value
    }

    fn twins() -> EcoVec<Twins> {
        let maps: Arc<[Way]> = [way(&["a"]), way(&["b"])].into();
        [Twins::new(maps, "k".into(), Value::string("x"))].into_iter().collect()
    }

    fn settled(mut value: Value, patch: &Value) -> (Value, usize) {
        let mut twins = twins();
        settle(&mut twins, &mut value, &|way, key| said_by(patch, way, key));
        (value, twins.len())
    }

    #[test]
    fn quotes_alone_are_no_change() {
        let mut value = object("y", "x");
        let quoted = crate::value::Scalar { text: "x".into(), style: crate::value::Style::Quoted };
        value.set(&["b", "k"], Value::Scalar(quoted));
        let (value, _) = settled(value, &Value::Null);
        assert_eq!(value.text_at(&["b", "k"]), Some("y"));
    }

    #[test]
    fn what_sets_one_sets_all() {
        let nothing = Value::map();
        assert_eq!(settled(object("y", "x"), &nothing), (object("y", "y"), 1));
        assert_eq!(settled(object("x", "y"), &nothing), (object("y", "y"), 1));
        assert_eq!(settled(object("y", "z"), &nothing), (object("z", "z"), 1));
    }

    #[test]
    fn what_is_set_to_what_it_is_counts_too() {
        let mut patch = Value::map();
        patch.set(&["b", "k"], Value::string("x"));
        assert_eq!(settled(object("y", "x"), &patch), (object("x", "x"), 1));
    }

    #[test]
    fn a_map_that_is_replaced_shares_nothing() {
        let mut patch = Value::map();
        patch.set(&["b", "$patch"], Value::plain("replace"));
        assert_eq!(settled(object("x", "y"), &patch), (object("x", "y"), 0));
    }

    #[test]
    fn annotations_may_part() {
        let maps: Arc<[Way]> = [way(&["metadata", "annotations"]), way(&["b"])].into();
        let mut all: EcoVec<_> = twins();
        all.push(Twins::new(maps, "k".into(), Value::string("x")));
        part_with_annotations(&mut all);
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn the_last_one_left_is_no_twin() {
        let mut value = object("y", "x");
        value.as_map_mut().and_then(|map| map.remove("b"));
        assert_eq!(settled(value, &Value::map()).1, 0);
    }
}
