#!/usr/bin/env python3
"""Writes table.rs: what kustomize's built-in schema says about scopes and the merging of lists.

The input is the swagger file of Kubernetes v1.21.2, the only schema that kustomize carries:

    dir=$(go mod download -json k8s.io/kubernetes@v1.21.2 | sed -n 's/.*"Dir": "\\(.*\\)".*/\\1/p')
    src/schema/generate.py "$dir/api/openapi-spec/swagger.json" > src/schema/table.rs

Of each kind only the fields that lead to a list with a merge strategy are kept. Kustomize took its
copy from a running server, so the alpha APIs of the file, which a server leaves off, are left out.
"""

import json
import sys

GVK = "x-kubernetes-group-version-kind"
STRATEGY = "x-kubernetes-patch-strategy"


def api_version(gvk):
    group, version = gvk.get("group", ""), gvk["version"]
    return f"{group}/{version}" if group else version


def cluster_scoped(paths):
    """Kinds that have a path, but none within a namespace."""
    scopes = {}
    for path, item in paths.items():
        gvk = item.get("get", {}).get(GVK)
        if gvk:
            key = (gvk["kind"], api_version(gvk))
            scopes[key] = scopes.get(key, False) or "namespaces/{namespace}" in path
    return sorted(key for key, namespaced in scopes.items() if not namespaced and served(key))


def served(key):
    return "alpha" not in key[1]


class Graph:
    """The definitions as nodes without the fields that lead nowhere."""

    def __init__(self, definitions):
        self.definitions = definitions
        self.leads = self.fixed_point()
        self.index = {}
        self.nodes = []

    def resolve(self, schema):
        name = None
        while "$ref" in schema:
            name = schema["$ref"].removeprefix("#/definitions/")
            schema = self.definitions[name]
        return name, schema

    def merges(self, schema):
        return "merge" in schema.get(STRATEGY, "").split(",")

    def children(self, schema):
        fields = dict(schema.get("properties", {}))
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict):
            fields["*"] = extra
        return fields

    def fixed_point(self):
        leads, grown = set(), True
        while grown:
            grown = False
            for name, schema in self.definitions.items():
                if name not in leads and self.useful(schema, leads):
                    leads.add(name)
                    grown = True
        return leads

    def useful(self, schema, leads):
        return any(self.child_useful(child, leads) for child in self.children(schema).values())

    def child_useful(self, child, leads):
        name, schema = self.resolve(child)
        if name is not None:
            return name in leads
        # A list that is replaced is never walked into.
        if schema.get("type") == "array":
            return self.merges(schema)
        return self.useful(schema, leads)

    def node(self, name, schema):
        """The number of a node; 0 is the empty one."""
        if not self.useful(schema, self.leads):
            return 0
        key = name or json.dumps(schema, sort_keys=True)
        if key not in self.index:
            self.index[key] = len(self.index) + 1
            self.nodes.append(None)
            at = len(self.nodes) - 1
            fields = sorted(self.children(schema).items(), key=lambda f: f[0].encode())
            self.nodes[at] = [
                (field, *self.shape(child))
                for field, child in fields
                if self.child_useful(child, self.leads)
            ]
        return self.index[key]

    def shape(self, child):
        name, schema = self.resolve(child)
        if schema.get("type") != "array":
            return None, self.node(name, schema)
        keys = schema.get("x-kubernetes-list-map-keys")
        if keys is None:
            key = schema.get("x-kubernetes-patch-merge-key")
            keys = [key] if key else []
        return keys, self.node(*self.resolve(schema["items"]))


def quoted(text):
    return json.dumps(text)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        swagger = json.load(file)
    graph = Graph(swagger["definitions"])
    kinds = {}
    for name, schema in sorted(swagger["definitions"].items()):
        keys = [(gvk["kind"], api_version(gvk)) for gvk in schema.get(GVK, [])]
        for key in filter(served, keys):
            kinds[key] = graph.node(name, schema)
    out = sys.stdout.write
    out("//! Written by generate.py from the swagger file of Kubernetes v1.21.2; not to be edited.\n\n")
    out("use super::Field;\n\n")
    out("/// Kind and `apiVersion` of what lives outside namespaces, sorted.\n")
    out("#[rustfmt::skip]\n")
    scoped = cluster_scoped(swagger["paths"])
    out("pub(super) static CLUSTER_SCOPED: &[(&str, &str)] = &[\n")
    for kind, version in scoped:
        out(f"    ({quoted(kind)}, {quoted(version)}),\n")
    out("];\n\n")
    out("/// Kind and `apiVersion` of every known kind with its node, sorted.\n")
    out("#[rustfmt::skip]\n")
    out("pub(super) static KINDS: &[(&str, &str, u16)] = &[\n")
    for (kind, version), node in sorted(kinds.items()):
        out(f"    ({quoted(kind)}, {quoted(version)}, {node}),\n")
    out("];\n\n")
    out("/// The definitions that have a node but 0, sorted.\n")
    out("#[rustfmt::skip]\n")
    out("pub(super) static DEFINITIONS: &[(&str, u16)] = &[\n")
    for name in sorted(graph.leads & set(graph.index)):
        out(f"    ({quoted(name)}, {graph.index[name]}),\n")
    out("];\n\n")
    out("/// The fields of each node that lead to a list with a merge strategy, sorted; node 0 has none.\n")
    out("#[rustfmt::skip]\n")
    out("pub(super) static NODES: &[&[Field]] = &[\n    &[],\n")
    for fields in graph.nodes:
        out("    &[\n")
        for field, keys, node in fields:
            keys = "None" if keys is None else "Some(&[" + ", ".join(map(quoted, keys)) + "])"
            out(f"        Field {{ name: {quoted(field)}, keys: {keys}, node: {node} }},\n")
        out("    ],\n")
    out("];\n")


if __name__ == "__main__":
    main()
