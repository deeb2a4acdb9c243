//! Random trees: an overlay `top` over one or two bases, at times with a component and a layer between.

use std::fmt::Write as _;

use crate::chance::Chance;
use crate::compare::{TOP, Tree};
use crate::mangled::mangled;
use crate::objects::{KINDS, NAMES, NAMESPACES, head, object, scalar};
use crate::odd;
use crate::settings::RARE;
use crate::texts;

/// An object that was written, for patches and the like to mean.
struct Known {
    kind: &'static str,
    name: &'static str,
}

/// Of so many trees one is about the text that an object holds.
const TEXTS: u64 = 8;

/// Of so many trees one has a slip of the hand in it.
const MANGLED: u64 = 4;

/// The tree of a seed.
pub(crate) fn tree(seed: u64) -> Tree {
    let mut chance = Chance::new(seed);
    if seed.is_multiple_of(TEXTS) {
        return texts::tree(&mut chance);
    }
    let tree = plausible(&mut chance);
    if seed % MANGLED == 1 { mangled(&mut chance, tree) } else { tree }
}

fn plausible(chance: &mut Chance) -> Tree {
    let mut writer = Writer { tree: Tree::new(), known: Vec::new(), hidden: 0 };
    let bases = 1 + chance.below(2);
    for base in 0..bases {
        // A base sees nothing of its sibling, whose objects meet its own at the top.
        writer.hidden = writer.known.len();
        writer.layer(chance, &format!("base{base}"), "", &[]);
    }
    let component = chance.percent(25);
    if component {
        writer.layer(
            chance,
            "part",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n",
            &[],
        );
    }
    writer.hidden = 0;
    let mut below: Vec<String> = (0..bases).map(|base| format!("../base{base}")).collect();
    let head = if component { "components: [../part]\n" } else { "" };
    if chance.percent(15) {
        writer.layer(chance, "mid", "", &below);
        below = vec!["../mid".to_owned()];
    }
    if chance.percent(5) {
        // The same objects another time, under other names.
        writer.write(
            "twin",
            "kustomization.yaml",
            "resources: [../base0]\nnameSuffix: -twin\n".to_owned(),
        );
        below.push("../twin".to_owned());
    }
    writer.layer(chance, TOP, head, &below);
    writer.tree
}

pub(crate) struct Writer {
    tree: Tree,
    known: Vec<Known>,
    /// How many of them the present layer does not see.
    hidden: usize,
}

impl Writer {
    pub(crate) fn write(&mut self, folder: &str, name: &str, text: String) {
        self.tree.insert(format!("{folder}/{name}"), text);
    }

    /// A kustomization with its files.
    fn layer(&mut self, chance: &mut Chance, folder: &str, head: &str, below: &[String]) {
        let mut text = head.to_owned();
        let is_component = head.contains("Component");
        let files = if is_component {
            chance.below(2)
        } else {
            chance.below(3) + usize::from(below.is_empty())
        };
        let mut resources: Vec<String> = below.to_vec();
        for file in 0..files {
            let name = format!("r{file}.yaml");
            let documents = self.documents(chance);
            self.write(folder, &name, odd::dressed(chance, documents));
            resources.push(name);
        }
        if !resources.is_empty() {
            let _ = writeln!(text, "resources:\n- {}", resources.join("\n- "));
        }
        for (percent, write) in FIELDS.iter().chain(RARE) {
            if chance.percent(*percent) {
                let mut field = String::new();
                write(self, chance, folder, &mut field);
                add(&mut text, &field);
            }
        }
        self.write(folder, "kustomization.yaml", text);
    }

    fn documents(&mut self, chance: &mut Chance) -> String {
        let count = 1 + chance.below(3);
        let mut documents = Vec::new();
        for _ in 0..count {
            let (kind, name) = self.fresh(chance);
            self.known.push(Known { kind, name });
            documents.push(object(chance, kind, name));
        }
        if chance.percent(5) {
            return odd::listed(chance, &documents);
        }
        documents.join(chance.pick(&["---\n", "---\n", "---\n# a comment\n"]))
    }

    /// Whether an object of this kind and name is there.
    pub(crate) fn is_known(&self, kind: &str, name: &str) -> bool {
        self.known.iter().any(|one| (one.kind, one.name) == (kind, name))
    }

    /// A kind and a name that are not there yet, mostly.
    fn fresh(&self, chance: &mut Chance) -> (&'static str, &'static str) {
        let mut fresh = (chance.pick(&KINDS), chance.pick(&NAMES));
        let tries = if chance.percent(2) { 0 } else { 30 };
        for _ in 0..tries {
            if !self.known.iter().any(|one| (one.kind, one.name) == fresh) {
                break;
            }
            fresh = (chance.pick(&KINDS), chance.pick(&NAMES));
        }
        fresh
    }

    /// An object of one of these kinds that is there.
    pub(crate) fn one_of(
        &self,
        chance: &mut Chance,
        kinds: &[&str],
    ) -> Option<(&'static str, &'static str)> {
        let fitting: Vec<&Known> =
            self.known[self.hidden..].iter().filter(|one| kinds.contains(&one.kind)).collect();
        (!fitting.is_empty()).then(|| {
            let one = fitting[chance.below(fitting.len())];
            (one.kind, one.name)
        })
    }

    /// An object that is there, mostly.
    fn meant(&self, chance: &mut Chance) -> (&'static str, &'static str) {
        if self.known.len() == self.hidden || chance.percent(2) {
            return (chance.pick(&KINDS), chance.pick(&NAMES));
        }
        let known = &self.known[self.hidden..];
        let known = &known[chance.below(known.len())];
        (known.kind, known.name)
    }
}

/// Adds a field; the entries of a list that is there already go to its front.
fn add(text: &mut String, field: &str) {
    let (key, rest) = field.split_once('\n').unwrap_or((field, ""));
    let at = text.find(&format!("\n{key}\n")).filter(|_| rest.starts_with('-'));
    match at {
        Some(at) => text.insert_str(at + key.len() + 2, rest),
        None => text.push_str(field),
    }
}

pub(crate) type Field = fn(&mut Writer, &mut Chance, &str, &mut String);

/// The fields of a kustomization, with how often each is there, in percent.
const FIELDS: &[(usize, Field)] = &[
    (25, |_, chance, _, text| {
        let _ = writeln!(text, "namePrefix: {}", chance.pick(&["p-", "'1'", "q-"]));
    }),
    (15, |_, chance, _, text| {
        let _ = writeln!(text, "nameSuffix: {}", chance.pick(&["-s", "'-2'", "-v1"]));
    }),
    (25, |_, chance, _, text| {
        let _ = writeln!(text, "namespace: {}", chance.pick(&NAMESPACES));
    }),
    (15, |_, chance, _, text| {
        let _ = writeln!(text, "commonLabels:\n  team: {}", chance.pick(&["a", "'1'", "\"yes\""]));
    }),
    (20, labels),
    (15, |_, chance, _, text| {
        let _ = writeln!(
            text,
            "commonAnnotations:\n  owner: {}",
            chance.pick(&["me", "'true'", "\"a: b\""])
        );
    }),
    (25, |_, chance, _, text| {
        let name = chance.pick(&["nginx", "example.com/team/app", "redis", "busybox"]);
        let change = chance.pick(&[
            "newTag: '2'",
            "newName: other/one",
            "digest: sha256:def",
            "newName: x\n  newTag: v3",
        ]);
        let _ = writeln!(text, "images:\n- name: {name}\n  {change}");
    }),
    (10, |writer, chance, _, text| {
        let Some((_, name)) = writer.one_of(chance, &["Deployment", "StatefulSet"]) else { return };
        let _ = writeln!(text, "replicas:\n- name: {name}\n  count: {}", chance.below(9));
    }),
    (25, config_maps),
    (15, |writer, chance, _, text| {
        let name = chance.pick(&NAMES);
        if writer.known.iter().any(|one| (one.kind, one.name) == ("generated Secret", name)) {
            return;
        }
        writer.known.push(Known { kind: "generated Secret", name });
        let _ = writeln!(
            text,
            "secretGenerator:\n- name: {name}-s\n  literals: [a=1, 'b= x ']\n  type: {}",
            chance.pick(&["Opaque", "kubernetes.io/tls"])
        );
    }),
    (8, |_, _, _, text| {
        text.push_str("generatorOptions:\n  labels: {gen: 'yes'}\n  disableNameSuffixHash: true\n");
    }),
    (35, patches),
    (10, strategic_files),
    (15, replacements),
    (6, |_, chance, _, text| {
        let _ = writeln!(text, "sortOptions:\n  order: {}", chance.pick(&["fifo", "legacy"]));
    }),
    (5, |_, _, _, text| {
        text.push_str(
            "buildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]\n",
        );
    }),
    (6, |writer, chance, folder, text| {
        // Two layers may not use one name.
        if folder != TOP {
            return;
        }
        let Some((kind, name)) = writer.one_of(chance, &["Deployment", "Service", "Widget"]) else {
            return;
        };
        let _ = writeln!(
            text,
            "vars:\n- name: X\n  objref: {{kind: {kind}, name: {name}, {}}}",
            api_version(kind)
        );
    }),
];

fn api_version(kind: &str) -> String {
    head(kind).lines().next().unwrap_or_default().to_owned()
}

fn labels(_: &mut Writer, chance: &mut Chance, _: &str, text: &mut String) {
    let option = chance.pick(&[
        "",
        "  includeSelectors: true\n",
        "  includeTemplates: true\n",
        "  fields:\n  - path: spec/extra\n    create: true\n",
    ]);
    // A key that looks like a number is refused at the end, so it is rare.
    let key = if chance.percent(4) { "'2'" } else { "a.b/c" };
    let _ = write!(
        text,
        "labels:\n- pairs:\n    stage: {}\n    {key}: b\n{option}",
        chance.pick(&["dev", "'on'", "'1'"])
    );
}

fn config_maps(writer: &mut Writer, chance: &mut Chance, _: &str, text: &mut String) {
    let name = chance.pick(&NAMES);
    let is_there = writer.known.iter().any(|one| (one.kind, one.name) == ("ConfigMap", name));
    let behavior =
        if is_there { chance.pick(&["  behavior: merge\n", "  behavior: replace\n"]) } else { "" };
    writer.known.push(Known { kind: "ConfigMap", name });
    let _ = write!(
        text,
        "configMapGenerator:\n- name: {name}\n{behavior}  literals:\n  - k={}\n  - long=\"{}\"\n",
        chance.pick(&["v", "1", "'q'", "a=b", ""]),
        "x y ".repeat(chance.below(40)),
    );
}

/// A strategic merge patch for an object.
fn strategic(chance: &mut Chance, kind: &str, name: &str) -> String {
    let mut patch = head(kind);
    let _ = writeln!(patch, "metadata:\n  name: {name}");
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let body = chance.pick(&[
                "spec:\n  replicas: 5\n",
                "spec:\n  template:\n    spec:\n      containers:\n      - name: c0\n        image: patched:1\n",
                "spec:\n  template:\n    spec:\n      containers:\n      - name: extra\n        image: side\n      - name: c1\n        $patch: delete\n",
                "spec:\n  template:\n    spec:\n      containers:\n      - name: c0\n        env:\n        - name: B\n          value: other\n          valueFrom: null\n        ports:\n        - containerPort: 80\n          hostPort: 8080\n",
                "spec:\n  template:\n    spec:\n      tolerations: [{key: a, operator: Exists}]\n      volumes:\n      - name: v\n        emptyDir: {}\n        configMap: null\n",
                "spec:\n  selector: null\n",
                "$patch: delete\n",
            ]);
            patch.push_str(body);
        }
        "Service" => patch.push_str(chance.pick(&[
            "spec:\n  ports:\n  - port: 80\n    nodePort: 30080\n",
            "spec:\n  ports:\n  - port: 8443\n    name: other\n    protocol: TCP\n",
            "spec:\n  selector:\n    app: null\n    more: x\n",
            "spec:\n  ports:\n  - $patch: replace\n  - port: 1\n",
        ])),
        "ConfigMap" => {
            let _ = writeln!(
                patch,
                "data:\n  k: {}\n  new: {}\n  b.yaml: null",
                scalar(chance),
                chance.pick(&["1", "'1'", "x"])
            );
        }
        _ => {
            let _ = writeln!(
                patch,
                "  labels:\n    patched: {}\n  annotations:\n    note: null",
                chance.pick(&["a", "'1'"])
            );
        }
    }
    patch
}

/// An operation of a JSON patch that mostly applies to a kind.
fn operation(chance: &mut Chance, kind: &str) -> &'static str {
    let always = [
        "{op: add, path: /metadata/labels, value: {json: \"1\"}}",
        "{op: add, path: /metadata/annotations, value: {a: b}}",
        "{op: replace, path: /metadata/name, value: renamed}",
        "{op: copy, from: /metadata/name, path: /copied}",
    ];
    let fitting = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => [
            "{op: add, path: /spec/replicas, value: 7}",
            "{op: replace, path: /spec/template/spec/containers/0/image, value: json:1}",
            "{op: add, path: /spec/template/spec/containers/-, value: {name: j, image: j}}",
            "{op: remove, path: /spec/selector}",
        ],
        "Service" => [
            "{op: add, path: /spec/ports/-, value: {port: 1}}",
            "{op: remove, path: /spec/ports/0}",
            "{op: copy, from: /spec/ports/0, path: /spec/ports/0}",
            "{op: move, from: /spec/ports, path: /spec/moved}",
        ],
        "ConfigMap" | "Secret" => [
            "{op: add, path: /data, value: {x: yes}}",
            "{op: add, path: /immutable, value: true}",
            "{op: replace, path: /data, value: {y: 1.50}}",
            "{op: add, path: /data, value: null}",
        ],
        _ => always,
    };
    if chance.percent(40) { chance.pick(&always) } else { chance.pick(&fitting) }
}

fn indented(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    text.lines().fold(String::new(), |out, line| out + &pad + line + "\n")
}

fn patches(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    text.push_str("patches:\n- target: {kind: None}\n  patch: '[]'\n");
    for at in 0..=chance.below(2) {
        let (kind, name) = writer.meant(chance);
        if kind.starts_with("generated") {
            continue;
        }
        match chance.below(4) {
            0 => {
                let _ = write!(text, "- patch: |\n{}", indented(&strategic(chance, kind, name), 4));
            }
            1 => {
                let file = format!("p{at}.yaml");
                let patch = strategic(chance, kind, name);
                writer.write(folder, &file, patch);
                let _ = writeln!(text, "- path: {file}");
            }
            2 => {
                let target = chance.pick(&[
                    "kind: Deployment",
                    "name: w.*",
                    "labelSelector: app=web",
                    "kind: ConfigMap|Secret",
                    "namespace: default",
                ]);
                let _ = write!(
                    text,
                    "- target: {{{target}}}\n  patch: |\n{}",
                    indented(&strategic(chance, kind, name), 4)
                );
            }
            _ => {
                let operation = operation(chance, kind);
                let _ = writeln!(
                    text,
                    "- target: {{kind: {kind}, name: {name}}}\n  patch: |\n    - {operation}"
                );
            }
        }
    }
}

fn strategic_files(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    let Some((kind, name)) = writer.one_of(chance, &KINDS) else { return };
    let patch = strategic(chance, kind, name);
    writer.write(folder, "s.yaml", patch);
    text.push_str("patchesStrategicMerge:\n- s.yaml\n");
}

fn replacements(writer: &mut Writer, chance: &mut Chance, _: &str, text: &mut String) {
    let kinds = ["Deployment", "StatefulSet", "ConfigMap", "Service", "Widget"];
    let Some((kind, name)) = writer.one_of(chance, &kinds) else { return };
    let Some((other, _)) = writer.one_of(chance, &kinds) else { return };
    let from = match kind {
        "Deployment" | "StatefulSet" => {
            chance.pick(&["spec.template.spec.containers.0.image", "metadata.name"])
        }
        "Service" => chance.pick(&["spec.ports.0.port", "metadata.name"]),
        "Widget" => chance.pick(&["spec.a", "spec", "metadata.name"]),
        _ => "metadata.name",
    };
    let to = match other {
        "Deployment" | "StatefulSet" => chance.pick(&[
            "spec.template.spec.containers.[name=c0].image",
            "spec.template.spec.containers.*.name",
            "spec.template.metadata.labels.app",
            "metadata.name",
        ]),
        "Service" => {
            chance.pick(&["spec.ports.0.targetPort", "spec.ports.*.port", "metadata.name"])
        }
        "Widget" => chance.pick(&["spec.a", "spec.B", "spec.a.b"]),
        _ => chance.pick(&["metadata.name", "metadata.annotations.copied", "data.k"]),
    };
    let options = chance.pick(&[
        "",
        "",
        "    options: {create: true}\n",
        "    options: {delimiter: ':', index: 1}\n",
        "    options: {delimiter: '-', index: 0, create: true}\n",
    ]);
    let _ = write!(
        text,
        "replacements:\n- source: {{kind: {kind}, name: {name}, fieldPath: {from}}}\n  targets:\n  - select: {{kind: {other}}}\n    fieldPaths: ['{to}']\n{options}",
    );
}
