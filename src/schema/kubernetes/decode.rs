//! The form of `schemas.bin`: what `generate.py` writes, read back when it is asked for.
//!
//! Four bytes of length, then deflated: numbers as LEB128, sequences with their count before them.
//!
//! 1. strings; everything else names them by their place
//! 2. names of definitions: prefix and kind
//! 3. definitions: name, mask of minors, length, then kinds, a node, and properties with their nodes
//! 4. resources: what discovery says of each, with a mask of minors
//!
//! A definition that is the same in several minors is there once. It refers to others by name, so
//! that each minor finds its own.

use std::io::Read;
use std::sync::{LazyLock, OnceLock};

use super::{
    Definition, Go, Name, Node, Patch, Property, Resource, Shape, Subresource, Topology, Type,
};

static FILE: &[u8] = include_bytes!("schemas.bin");

/// What is said where the file is not as the generator writes it; the tests read all of it.
const OURS: &str = "the embedded schemas are as the generator writes them";

static INFLATED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (length, packed) = FILE.split_first_chunk().expect(OURS);
    let mut data = Vec::with_capacity(u32::from_le_bytes(*length) as usize);
    flate2::read::DeflateDecoder::new(packed).read_to_end(&mut data).expect(OURS);
    data
});

/// All that the file holds.
pub(super) static TABLES: LazyLock<Tables> = LazyLock::new(Tables::read);

/// The file's parts, definitions still packed.
pub(super) struct Tables {
    strings: Vec<&'static str>,
    pub(super) names: Vec<String>,
    pub(super) definitions: Vec<Packed>,
    pub(super) resources: Vec<Resource>,
}

/// A definition that is read when it is used.
pub(super) struct Packed {
    pub(super) name: Name,
    pub(super) minors: u16,
    body: &'static [u8],
    read: OnceLock<Definition>,
}

impl Packed {
    pub(super) fn get(&'static self) -> &'static Definition {
        self.read.get_or_init(|| self.decode(&TABLES))
    }

    /// The kinds alone, which stand first.
    pub(super) fn kinds(&self, tables: &Tables) -> Vec<Type> {
        Reader { data: self.body, strings: &tables.strings }.kinds()
    }

    fn decode(&self, tables: &'static Tables) -> Definition {
        let mut reader = Reader { data: self.body, strings: &tables.strings };
        let kinds = reader.kinds();
        let node = reader.node();
        let mut order = 0;
        let property = |reader: &mut Reader<'_>| {
            let property = Property { name: reader.string(), order, node: reader.node() };
            order += 1;
            property
        };
        let mut properties = reader.sequence(property);
        properties.sort_unstable_by_key(|property| property.name);
        Definition { name: &tables.names[self.name.place()], kinds, node, properties }
    }
}

impl Tables {
    fn read() -> Self {
        let mut reader = Reader { data: &INFLATED, strings: &[] };
        let strings = reader.sequence(Reader::text);
        let mut reader = Reader { data: reader.data, strings: &strings };
        let names = reader.sequence(|reader| {
            let prefix = reader.string();
            format!("{prefix}.{}", reader.string())
        });
        let definitions = reader.sequence(Reader::packed);
        let resources = reader.sequence(Reader::resource);
        Self { names, definitions, resources, strings }
    }
}

/// Reads from the front of what is left.
struct Reader<'a> {
    data: &'static [u8],
    strings: &'a [&'static str],
}

impl Reader<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.data.split_first().expect(OURS);
        self.data = rest;
        *first
    }

    fn number(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    fn mask(&mut self) -> u16 {
        u16::try_from(self.number()).expect(OURS)
    }

    fn take(&mut self) -> &'static [u8] {
        let length = self.number();
        let (taken, rest) = self.data.split_at(length);
        self.data = rest;
        taken
    }

    fn text(&mut self) -> &'static str {
        std::str::from_utf8(self.take()).expect(OURS)
    }

    fn string(&mut self) -> &'static str {
        self.strings[self.number()]
    }

    /// Strings that were joined with commas.
    fn words(&mut self) -> Vec<&'static str> {
        self.string().split(',').filter(|word| !word.is_empty()).collect()
    }

    fn sequence<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.number()).map(|_| item(self)).collect()
    }

    fn kinds(&mut self) -> Vec<Type> {
        self.sequence(Self::kind)
    }

    fn kind(&mut self) -> Type {
        Type { group: self.string(), version: self.string(), kind: self.string() }
    }

    fn name(&mut self) -> Name {
        Name(self.mask())
    }

    fn packed(&mut self) -> Packed {
        let (name, minors) = (self.name(), self.mask());
        Packed { name, minors, body: self.take(), read: OnceLock::new() }
    }

    fn resource(&mut self) -> Resource {
        let (group, version, name, singular) =
            (self.string(), self.string(), self.string(), self.string());
        let (kind, minors, served) = (self.kind(), self.mask(), self.mask());
        let flags = self.byte();
        Resource {
            group,
            version,
            name,
            singular,
            kind,
            minors,
            served,
            namespaced: flags & 1 != 0,
            verbs: self.words(),
            short_names: self.words(),
            categories: self.words(),
            storage_hash: if flags & 2 == 0 { "" } else { self.text() },
            subresources: self.sequence(|reader| Subresource {
                name: reader.string(),
                kind: reader.kind(),
                verbs: reader.words(),
                minors: reader.mask(),
            }),
        }
    }

    /// One node; the nodes of elements and of values follow it.
    fn node(&mut self) -> Node {
        let flags = self.number();
        let is = |bit: u32| flags >> bit & 1 != 0;
        let mut reference = None;
        if flags & 7 == 7 {
            reference = Some(self.name());
        }
        let format = if is(3) { self.string() } else { "" };
        let topology = if is(4) { Some(self.topology()) } else { None };
        let patch = if is(5) { self.patch() } else { Patch::default() };
        let default = if is(6) { self.string() } else { "" };
        let choices = if is(7) { self.sequence(Self::string) } else { Vec::new() };
        let go = Go {
            name: if is(12) { self.string() } else { "" },
            pointer: is(9),
            omit_empty: is(10),
            omit_zero: is(11),
        };
        let shape = match (flags & 7, reference) {
            (_, Some(name)) => Shape::Reference(name),
            (1, _) => Shape::Object(is(14).then(|| Box::new(self.node()))),
            (2, _) => Shape::List(Box::new(self.node())),
            (3, _) => Shape::String,
            (4, _) => Shape::Integer,
            (5, _) => Shape::Number,
            (6, _) => Shape::Boolean,
            _ => Shape::Any,
        };
        let (required, keeps_unknown) = (is(8), is(13));
        Node { shape, format, topology, patch, default, choices, required, keeps_unknown, go }
    }

    fn topology(&mut self) -> Topology {
        match self.byte() {
            1 => Topology::AtomicList,
            2 => Topology::Set,
            3 => Topology::Keyed(self.sequence(Self::string)),
            4 => Topology::AtomicMap,
            _ => Topology::GranularMap,
        }
    }

    fn patch(&mut self) -> Patch {
        let strategy = self.byte();
        let key = self.number().checked_sub(1).map(|at| self.strings[at]);
        Patch {
            merge: matches!(strategy, 1 | 3),
            retain_keys: matches!(strategy, 2 | 3),
            replace: strategy == 4,
            key,
        }
    }
}
