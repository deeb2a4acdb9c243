//! The fields of a kustomization that few people use, and their files.

use std::fmt::Write as _;

use crate::chance::Chance;
use crate::compare::TOP;
use crate::objects::{KINDS, NAMES, head};
use crate::tree::{Field, Writer};

/// As `FIELDS` of the common ones.
pub(crate) const RARE: &[(usize, Field)] = &[
    (5, json6902),
    (5, configurations),
    (3, crds),
    (3, openapi),
    (8, plugins),
    (4, generators),
    (2, validators),
    (6, generated_from_files),
    (4, |_, chance, _, text| {
        let _ = writeln!(
            text,
            "sortOptions:\n  order: legacy\n  legacySortOptions:\n    orderFirst: [{}]\n    orderLast: [Deployment, {}]",
            chance.pick(&["Service, ConfigMap", "", "Widget"]),
            chance.pick(&["Namespace", "Secret"])
        );
    }),
    (5, |_, chance, _, text| {
        let _ = writeln!(
            text,
            "images:\n- name: {}\n  {}",
            chance.pick(&["nginx.*", "busybox", "a[", "redis"]),
            chance.pick(&["tagSuffix: -x", "newTag: '1.10'\n  digest: sha256:q", "newName: ''"])
        );
    }),
    (5, |_, chance, _, text| {
        let _ = writeln!(
            text,
            "labels:\n- pairs: {{deep: 'v'}}\n  includeSelectors: {}\n  includeTemplates: true\n  fields:\n  - path: spec/list/name\n    kind: Widget\n  - path: spec/volumeClaimTemplates[]/metadata/labels\n    create: {}",
            chance.pick(&["true", "false"]),
            chance.pick(&["true", "false"])
        );
    }),
    (6, vars),
    (8, replacements),
    (4, |writer, chance, folder, text| {
        // Others than these have no hash in their names.
        let kinds = ["Deployment", "Service", "Widget", "Role", "Namespace"];
        let Some((kind, name)) = writer.one_of(chance, &kinds) else { return };
        let options = chance.pick(&["allowNameChange: true", "allowKindChange: true"]);
        let file = "renaming.yaml";
        let change = if options.contains("Name") { "renamed-1" } else { name };
        let head = if options.contains("Kind") { head("Widget") } else { head(kind) };
        writer.write(folder, file, format!("{head}metadata:\n  name: {change}\n"));
        let _ = writeln!(
            text,
            "patches:\n- path: {file}\n  target: {{kind: {kind}, name: {name}}}\n  options: {{{options}}}"
        );
    }),
];

fn json6902(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    let Some((kind, name)) = writer.one_of(chance, &KINDS) else { return };
    let operations = [
        r#"{"op": "test", "path": "/metadata/name", "value": "NAME"}"#,
        r#"{"op": "add", "path": "/metadata/annotations", "value": {"j": "1"}}"#,
        r#"{"op": "replace", "path": "/kind", "value": "KIND"}"#,
        r#"{"op": "add", "path": "/extra", "value": [1, 2.5, 1e3, 12345678901, true, null, {"a": "b"}]}"#,
        r#"{"op": "add", "path": "/extra/-", "value": "x"}"#,
        r#"{"op": "remove", "path": "/extra/-1"}"#,
        r#"{"op": "copy", "from": "/metadata/name", "path": "/spec"}"#,
        r#"{"op": "move", "from": "/metadata/labels", "path": "/metadata/moved"}"#,
        r#"{"op": "remove", "path": "/spec"}"#,
        r#"{"op": "replace", "path": "/data/k", "value": 1.0}"#,
        r#"{"op": "add", "path": "/a~1b~0c", "value": "\u003c&\n"}"#,
        r#"{"op": "test", "path": "/metadata/name", "value": "NAME"}"#,
        r#"{"op": "test", "path": "/spec/replicas", "value": 1}"#,
        r#"{"op": "test", "path": "/spec/replicas", "value": 1e0}"#,
        r#"{"op": "test", "path": "/spec/ports/0", "value": {"targetPort": "http", "port": 80}}"#,
    ];
    let count = 1 + chance.below(3);
    let list: Vec<String> = (0..count)
        .map(|_| chance.pick(&operations).replace("NAME", name).replace("KIND", kind))
        .collect();
    let body = match chance.below(2) {
        0 => format!("[{}]", list.join(",\n ")),
        _ => list.iter().fold(String::new(), |out, one| format!("{out}- {one}\n")),
    };
    writer.write(folder, "j.json", body);
    let (group, version) = match head(kind).lines().next().unwrap_or_default() {
        line if line.contains('/') => {
            let (group, version) = line["apiVersion: ".len()..].split_once('/').unwrap_or_default();
            (group.to_owned(), version.to_owned())
        }
        line => (String::new(), line["apiVersion: ".len()..].to_owned()),
    };
    let _ = writeln!(
        text,
        "patchesJson6902:\n- path: j.json\n  target: {{group: '{group}', version: {version}, kind: {kind}, name: {name}}}"
    );
}

fn configurations(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    let config = chance.pick(&[
        "namePrefix:\n- path: spec/a\n  kind: Widget\n",
        "nameReference:\n- kind: ConfigMap\n  version: v1\n  fieldSpecs:\n  - path: spec/a\n    kind: Widget\n  - path: spec/list/name\n    kind: Widget\n",
        "nameReference:\n- kind: Widget\n  fieldSpecs:\n  - path: data/k\n    kind: ConfigMap\n",
        "commonLabels:\n- path: spec/labels\n  create: true\n  kind: Widget\n",
        "commonAnnotations:\n- path: spec/notes\n  create: true\n  kind: Widget\n",
        "images:\n- path: spec/a\n  kind: Widget\n",
        "replicas:\n- path: spec/x9\n  kind: Widget\n  create: true\n",
        "namespace:\n- path: spec/namespace\n  kind: Widget\n  create: true\n",
        "varReference:\n- path: spec/a\n  kind: Widget\n- path: data\n  kind: ConfigMap\n",
        "nameSuffix:\n- path: data/k\n  kind: ConfigMap\n",
    ]);
    writer.write(folder, "config.yaml", config.to_owned());
    text.push_str("configurations: [config.yaml]\n");
}

fn crds(writer: &mut Writer, _: &mut Chance, folder: &str, text: &mut String) {
    let schema = r#"{"example.com/v1alpha1.Widget": {"Schema": {"properties": {
  "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
  "spec": {"type": "object", "properties": {
    "a": {"type": "string", "x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "ConfigMap"},
    "B": {"x-kubernetes-label-selector": "", "type": "object"}}}}}}}
"#;
    writer.write(folder, "crds.json", schema.to_owned());
    text.push_str("crds: [crds.json]\n");
}

fn openapi(writer: &mut Writer, _: &mut Chance, folder: &str, text: &mut String) {
    if folder != TOP {
        return;
    }
    let schema = r#"{"definitions": {"v1alpha1.Widget": {"type": "object", "properties": {
  "spec": {"type": "object", "properties": {
    "list": {"type": "array", "items": {"type": "object"},
      "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"}}}},
  "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Widget", "version": "v1alpha1"}]}}}
"#;
    writer.write(folder, "schema.json", schema.to_owned());
    text.push_str("openapi:\n  path: schema.json\n");
}

/// Built-in transformers as configurations of their own, with what stands below `metadata`.
const TRANSFORMERS: [(&str, &str); 21] = [
    ("PrefixTransformer", "prefix: t-\nfieldSpecs:\n- path: metadata/name\n"),
    ("SuffixTransformer", "suffix: -t\nfieldSpecs:\n- path: metadata/name\n  kind: ConfigMap\n"),
    (
        "LabelTransformer",
        "labels: {t: 'on', u: \"1\"}\nfieldSpecs:\n- path: metadata/labels\n  create: true\n",
    ),
    (
        "AnnotationsTransformer",
        "annotations: {t: 'on'}\nfieldSpecs:\n- path: metadata/annotations\n  create: true\n",
    ),
    (
        "NamespaceTransformer",
        "unsetOnly: true\nsetRoleBindingSubjects: allServiceAccounts\nfieldSpecs:\n- path: metadata/namespace\n  create: true\n",
    ),
    (
        "NamespaceTransformer",
        "setRoleBindingSubjects: none\nfieldSpecs:\n- path: metadata/namespace\n  create: true\n",
    ),
    (
        "ImageTagTransformer",
        "imageTag: {name: nginx, newTag: t}\nfieldSpecs:\n- path: spec/template/spec/containers/image\n",
    ),
    (
        "ReplicaCountTransformer",
        "replica: {name: web, count: 4}\nfieldSpecs:\n- path: spec/replicas\n  create: true\n",
    ),
    ("ReplicaCountTransformer", "replica: {name: w}\nfieldSpecs:\n- path: spec/replicas\n"),
    (
        "ValueAddTransformer",
        "value: added\ntargets:\n- selector: {kind: Widget}\n  fieldPath: spec/a\n",
    ),
    (
        "ValueAddTransformer",
        "value: added\ntargets:\n- fieldPath: metadata/labels/x\n- fieldPath: metadata/annotations/y\n",
    ),
    (
        "ValueAddTransformer",
        "value: v\ntargets:\n- selector: {kind: ConfigMap}\n  fieldPath: data/k\n  filePathPosition: 1\n",
    ),
    (
        "PatchTransformer",
        "target: {kind: ConfigMap}\npatch: '[{\"op\": \"add\", \"path\": \"/t\", \"value\": 1}]'\n",
    ),
    (
        "PatchTransformer",
        "target: {kind: Deployment|Service}\npatch: |\n  metadata:\n    name: any\n    labels: {p: \"1\"}\n",
    ),
    (
        "PatchTransformer",
        "target: {}\npatch: |\n  apiVersion: v1\n  kind: Any\n  metadata:\n    name: any\n    annotations: {p: q}\n",
    ),
    (
        "PatchJson6902Transformer",
        "target: {version: v1, kind: ConfigMap, name: web}\njsonOp: '[{\"op\": \"add\", \"path\": \"/t\", \"value\": 1}]'\n",
    ),
    (
        "PatchStrategicMergeTransformer",
        "patches: |\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: web}\n  data: {m: n}\n",
    ),
    (
        "ReplacementTransformer",
        "replacements:\n- sourceValue: r\n  targets:\n  - select: {kind: ConfigMap}\n    fieldPaths: [metadata.labels.r]\n    options: {create: true}\n",
    ),
    ("HashTransformer", ""),
    ("SortOrderTransformer", "sortOptions: {order: legacy}\n"),
    ("SortOrderTransformer", "sortOptions: {order: fifo}\n"),
];

/// As `TRANSFORMERS`.
const GENERATORS: [(&str, &str); 7] = [
    ("ConfigMapGenerator", "literals: [a=1, 'b=c d']\n"),
    ("ConfigMapGenerator", "literals: [x=y]\nbehavior: create\n"),
    ("ConfigMapGenerator", "literals: [x=y]\noptions: {disableNameSuffixHash: true}\n"),
    ("SecretGenerator", "literals: [a=1]\ntype: Opaque\n"),
    ("SecretGenerator", "literals: []\noptions: {immutable: true, labels: {a: b}}\n"),
    (
        "IAMPolicyGenerator",
        "cloud: gke\nkubernetesService: {name: k, namespace: n}\nserviceAccount: {name: s, projectId: p}\n",
    ),
    (
        "IAMPolicyGenerator",
        "cloud: gke\nkubernetesService: {name: k}\nserviceAccount: {name: s, projectId: p}\n",
    ),
];

fn plugin(chance: &mut Chance, from: &[(&str, &str)]) -> String {
    let (kind, body) = from[chance.below(from.len())];
    let name = if kind.ends_with("Generator") { chance.pick(&NAMES) } else { "t" };
    let mut config = format!("apiVersion: builtin\nkind: {kind}\nmetadata:\n  name: {name}\n");
    // `metadata.namespace` is the one that is set.
    if kind == "NamespaceTransformer" || chance.percent(10) {
        config.push_str("  namespace: plugged\n");
    }
    config + body
}

/// Plugins of one field: in files, in a directory with a kustomization, or in the field itself.
fn plugged(
    writer: &mut Writer,
    chance: &mut Chance,
    (folder, field): (&str, &str),
    from: &[(&str, &str)],
    text: &mut String,
) {
    let count = 1 + usize::from(chance.percent(30));
    let configs: Vec<String> = (0..count).map(|_| plugin(chance, from)).collect();
    let config = configs.join("---\n");
    match chance.below(4) {
        0 => {
            let below = format!("{folder}/{field}");
            let prefix = chance.pick(&["", "", "", "namePrefix: n-\n", "namespace: other\n"]);
            writer.write(&below, "plugin.yaml", config);
            writer.write(
                &below,
                "kustomization.yaml",
                format!("resources: [plugin.yaml]\n{prefix}"),
            );
            let _ = writeln!(text, "{field}: [{field}]");
        }
        1 => {
            let indented = config.replace('\n', "\n  ");
            let _ = writeln!(text, "{field}:\n- |-\n  {}", indented.trim_end());
        }
        _ => {
            let file = format!("{field}.yaml");
            writer.write(folder, &file, config);
            let _ = writeln!(text, "{field}: [{file}]");
        }
    }
}

fn plugins(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    plugged(writer, chance, (folder, "transformers"), &TRANSFORMERS, text);
}

fn generators(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    plugged(writer, chance, (folder, "generators"), &GENERATORS, text);
}

/// What changes an object is refused as a validator.
fn validators(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    plugged(writer, chance, (folder, "validators"), &TRANSFORMERS, text);
}

fn generated_from_files(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    let name = format!("{}-f", chance.pick(&NAMES));
    if writer.is_known("ConfigMap", &name) {
        return;
    }
    let contents = [
        "one\ntwo\n",
        "",
        "no end",
        "a: b\r\nc: d\r\n",
        "\u{feff}mark",
        "tab\there",
        " lead",
        "trail \n",
        "{\"json\": true}",
        "\n\n\n",
        "日本\n",
        "x\u{7f}".trim_end_matches('\u{7f}'),
    ];
    writer.write(folder, "f.txt", chance.pick(&contents).to_owned());
    let lines = [
        "A=1\nB=two words\n",
        "# comment\nA='q'\n\nB=\n",
        "A=1\r\nB=2\r\n",
        "\u{feff}A=x\n",
        "  A=lead\n",
        "A=b=c\nHOME\n",
    ];
    writer.write(folder, "e.env", chance.pick(&lines).to_owned());
    let field = chance.pick(&["configMapGenerator", "secretGenerator"]);
    let _ = writeln!(
        text,
        "{field}:\n- name: {name}\n  files: [f.txt, g.txt=f.txt]\n  envs: [e.env]\n  options:\n    immutable: {}\n    labels: {{m: 'x'}}\n    annotations: {{m: '1'}}\n    disableNameSuffixHash: {}",
        chance.pick(&["true", "false"]),
        chance.pick(&["true", "false"])
    );
}

fn vars(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    if folder != TOP {
        return;
    }
    let Some((kind, name)) = writer.one_of(chance, &["Deployment", "ConfigMap", "Service"]) else {
        return;
    };
    let path = match kind {
        "Deployment" => chance.pick(&[
            "spec.replicas",
            "spec.template.spec.containers[0].image",
            "metadata.labels.app",
        ]),
        "Service" => {
            chance.pick(&["spec.ports[0].port", "metadata.namespace", "spec.selector.app"])
        }
        _ => chance.pick(&["data.k", "metadata.name"]),
    };
    let version = head(kind).lines().next().unwrap_or_default().to_owned();
    let _ = writeln!(
        text,
        "vars:\n- name: X\n  objref: {{kind: {kind}, name: {name}, {version}}}\n  fieldref: {{fieldpath: '{path}'}}"
    );
}

fn replacements(writer: &mut Writer, chance: &mut Chance, folder: &str, text: &mut String) {
    let kinds = ["Deployment", "ConfigMap", "Service", "Widget"];
    let Some((kind, name)) = writer.one_of(chance, &kinds) else { return };
    let from = match kind {
        "Deployment" => chance.pick(&[
            "spec.template.spec.containers.[name=c0].image",
            "spec.template.spec.containers.0",
            "spec.replicas",
        ]),
        "Service" => {
            chance.pick(&["spec.ports", "spec.ports.[port=80].targetPort", "metadata.labels"])
        }
        "Widget" => chance.pick(&["spec.list.0", "spec.x10", "spec.[c d]"]),
        _ => chance.pick(&["data.k", "data.[b.yaml]", "metadata.annotations.note"]),
    };
    let source = match chance.below(4) {
        0 => format!("  sourceValue: {}", chance.pick(&["text", "'5'", "\"a: b\"", "''"])),
        1 => format!(
            "  source: {{kind: {kind}, name: {name}, fieldPath: '{from}', options: {{delimiter: '{}', index: {}}}}}",
            chance.pick(&[":", "-", ".", " "]),
            chance.pick(&["0", "1", "-1"])
        ),
        _ => format!("  source: {{kind: {kind}, name: {name}, fieldPath: '{from}'}}"),
    };
    let select = chance.pick(&[
        "kind: ConfigMap",
        "kind: Deployment|StatefulSet",
        "name: w.*",
        "labelSelector: app=web",
        "kind: Widget",
        "namespace: default",
        "annotationSelector: note",
        "version: v1",
    ]);
    let reject = chance.pick(&[
        "",
        "",
        "    reject:\n    - {name: web}\n",
        "    reject:\n    - {kind: Secret, labelSelector: tier=1}\n",
    ]);
    let path = chance.pick(&[
        "data.k",
        "data.[b.yaml].x.y",
        "data.[c.yaml].x.y",
        "data.[c.yaml].x.y",
        "data.[c.yaml].l.0",
        "data.[c.yaml].x.new",
        "metadata.annotations.[a/b.c]",
        "spec.template.spec.containers.*.image",
        "spec.template.spec.containers.[name=c.].env.[name=A].value",
        "spec.list.2.name",
        "spec.list.-",
        "metadata.labels.new",
        "data.o0",
        "spec.o1.a",
        "spec.a",
        "metadata.labels",
    ]);
    let options = match chance.below(4) {
        0 => String::new(),
        1 => format!(
            "    options: {{delimiter: '{}', index: {}}}\n",
            chance.pick(&[":", "-", "/"]),
            chance.pick(&["-1", "0", "1", "9"])
        ),
        _ => "    options: {create: true}\n".to_owned(),
    };
    let entry = format!(
        "{source}\n  targets:\n  - select: {{{select}}}\n{reject}    fieldPaths: ['{path}']\n{options}"
    );
    match chance.below(3) {
        0 => {
            let mut file = entry.replace("\n  ", "\n");
            file.replace_range(..2, "");
            writer.write(folder, "replacement.yaml", file);
            text.push_str("replacements:\n- path: replacement.yaml\n");
        }
        _ => {
            let _ = write!(text, "replacements:\n-{}", &entry[1..]);
        }
    }
}
