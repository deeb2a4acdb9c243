//! The ordered set of objects that a build works on.

use rustc_hash::FxHashMap;

use crate::resource::{Id, Resource};

/// Objects in the order in which they were accumulated; no two share an id when they are added.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    list: Vec<Resource>,
    /// Where each present id is; dropped as soon as somebody may have changed one.
    by_id: Option<FxHashMap<Id, usize>>,
}

/// The id that stands for all ids that are the same.
fn canonical(mut id: Id) -> Id {
    id.namespace = id.effective_namespace().into();
    id
}

impl Resources {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.list.iter()
    }

    /// All of them for writing.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Resource> {
        self.by_id = None;
        self.list.iter_mut()
    }

    /// As a slice, for look-ups by position.
    #[must_use]
    pub fn as_slice(&self) -> &[Resource] {
        &self.list
    }

    /// The vector itself, for steps that drop or reorder.
    pub fn as_mut_vec(&mut self) -> &mut Vec<Resource> {
        self.by_id = None;
        &mut self.list
    }

    /// Where the object with this present id is.
    pub fn position(&mut self, id: &Id) -> Option<usize> {
        let list = &self.list;
        let index = self.by_id.get_or_insert_with(|| {
            list.iter().enumerate().map(|(at, one)| (canonical(one.id()), at)).collect()
        });
        index.get(&canonical(id.clone())).copied()
    }

    /// Adds an object, or gives it back with the position of the one that has its id.
    ///
    /// # Errors
    /// Where an object of the same id is there already.
    pub fn append(&mut self, resource: Resource) -> Result<(), (Box<Resource>, usize)> {
        let id = resource.id();
        if let Some(at) = self.position(&id) {
            return Err((Box::new(resource), at));
        }
        if let Some(index) = &mut self.by_id {
            index.insert(canonical(id), self.list.len());
        }
        self.list.push(resource);
        Ok(())
    }
}

impl IntoIterator for Resources {
    type Item = Resource;
    type IntoIter = std::vec::IntoIter<Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Resource>> for Resources {
    fn from(list: Vec<Resource>) -> Self {
        Self { list, by_id: None }
    }
}
