//! Kustomizations with their files, as text.
//!
//! A file holds one, in sections that begin with a line `-- path --`. Paths are those of its directory in the
//! repository, but for `kustomization`, the object itself, `cluster`, what is in the cluster before, and `then path`,
//! which a second commit puts in the place of `path`. `NAMESPACE` stands for a namespace of its own, `SOURCE` for the
//! one of the source, `GIT` for the URL of a Git server that has the repository `base`.

use std::path::Path;

/// One Kustomization.
#[derive(Clone)]
pub(crate) struct Shape {
    pub(crate) name: String,
    sections: Vec<(String, String)>,
}

/// What the words stand for.
pub(crate) struct Names<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) source: &'a str,
    pub(crate) git: &'a str,
}

/// The repository that one of them takes its base from.
pub(crate) const BASE: &[(&str, &str)] = &[
    ("app/kustomization.yaml", "resources:\n- ../map\nnameSuffix: -app\n"),
    ("map/kustomization.yaml", "resources:\n- map.yaml\n"),
    (
        "map/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\ndata:\n  key: value\n",
    ),
];

/// All of them, by name.
pub(crate) fn shapes() -> Vec<Shape> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proof/shapes");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut shapes: Vec<Shape> = entries.map(|path| read(&path)).collect();
    shapes.sort_by(|one, other| one.name.cmp(&other.name));
    shapes
}

fn read(path: &Path) -> Shape {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let name = line.strip_prefix("-- ").and_then(|line| line.trim_end().strip_suffix(" --"));
        match (name, sections.last_mut()) {
            (Some(name), _) => sections.push((name.to_owned(), String::new())),
            (None, Some((_, body))) => body.push_str(line),
            (None, None) => panic!("{}: begins without a section", path.display()),
        }
    }
    Shape { name: path.file_stem().unwrap().to_string_lossy().into_owned(), sections }
}

impl Shape {
    /// The same with names put in.
    pub(crate) fn placed(&self, names: &Names<'_>) -> Self {
        let put = |text: &String| {
            let text = text.replace("NAMESPACE", names.namespace);
            text.replace("SOURCE", names.source).replace("GIT", names.git)
        };
        let sections = self.sections.iter().map(|(name, text)| (name.clone(), put(text))).collect();
        Self { name: self.name.clone(), sections }
    }

    fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|one| one.0 == name).map(|one| one.1.as_str())
    }

    /// The object itself.
    pub(crate) fn kustomization(&self) -> &str {
        self.section("kustomization").expect("each has one")
    }

    /// What is in the cluster before, as YAML.
    pub(crate) fn cluster(&self) -> &str {
        self.section("cluster").unwrap_or_default()
    }

    /// The files of the repository after the first commit or the second.
    pub(crate) fn files(&self, second: bool) -> Vec<(String, &str)> {
        let is_file =
            |name: &str| !matches!(name, "kustomization" | "cluster") && !name.starts_with("then ");
        let files = self.sections.iter().filter(|(name, _)| is_file(name));
        files
            .map(|(name, text)| {
                let then = self.section(&format!("then {name}")).filter(|_| second);
                (format!("{}/{name}", self.name), then.unwrap_or(text))
            })
            .collect()
    }
}
