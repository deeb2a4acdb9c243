#!/usr/bin/env python3
"""Writes numbers.bin: which number each field of the built-in kinds has in protobuf.

    src/schema/kubernetes/numbers.py MODULES [OUT]

MODULES is the folder with the modules `k8s.io/{api,apimachinery,apiextensions-apiserver,kube-aggregator}@…`, e.g.
`$(go env GOMODCACHE)/k8s.io`; the last of several versions is taken. Numbers never change, so that one version knows all that came before it.

The form: four bytes of length, then deflated text, a line a message: its name as OpenAPI has it, then `name=number` for
each field, apart by tabs. A field that is no field of the JSON, as Go embeds its struct, has `:message` after its number.
"""

import glob
import pathlib
import re
import sys
import zlib

MESSAGE = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
FIELD = re.compile(r"^\s+(?:optional|repeated|map<[^>]*>)\s*([\w.]*)\s+(\w+) = (\d+);", re.M)
EMBEDDED = {
    "deviceConfiguration", "ephemeralContainerCommon", "ingressRuleValue", "localObjectReference",
    "persistentVolumeSource", "ruleWithOperations", "volumeSource",
}
# Of modules with more than one version of their API, those that are served.
FILES = {
    "api": "**/generated.proto",
    "apiextensions-apiserver": "pkg/apis/apiextensions/v1/generated.proto",
    "apimachinery": "**/generated.proto",
    "kube-aggregator": "pkg/apis/apiregistration/v1/generated.proto",
}
# Fields that JSON calls otherwise.
RENAMED = {("JSONSchemaProps", "ref"): "$ref", ("JSONSchemaProps", "schema"): "$schema"}
ALSO_EMBEDDED = {("Probe", "handler"), ("RuleWithOperations", "rule")}


def lines(modules):
    for module, files in FILES.items():
        folder = sorted(glob.glob(f"{modules}/{module}@*"))[-1]
        for file in sorted(pathlib.Path(folder).glob(files)):
            yield from messages(file.read_text())


def messages(text):
    package = "io.k8s." + re.search(r"^package k8s\.io\.([\w.]+);", text, re.M).group(1).replace("_", "-")
    for message in MESSAGE.finditer(text):
        name, fields = message.group(1), FIELD.findall(message.group(2))
        shown = [f"{renamed(name, field)}={number}" + embedded(package, name, of, field) for of, field, number in fields]
        if shown:
            yield "\t".join([f"{package}.{name}", *shown])


def renamed(message, field):
    if field.startswith("xKubernetes"):
        return re.sub("[A-Z]", lambda letter: "-" + letter.group().lower(), field)
    return RENAMED.get((message, field), field)


def embedded(package, message, of, field):
    if field not in EMBEDDED and (message, field) not in ALSO_EMBEDDED:
        return ""
    return ":" + ("io.k8s." + of.removeprefix(".k8s.io.") if "." in of else f"{package}.{of}")


modules = sys.argv[1]
out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).with_name("numbers.bin"))
data = "\n".join(lines(modules)).encode()
packer = zlib.compressobj(9, zlib.DEFLATED, -15)
out.write_bytes(len(data).to_bytes(4, "little") + packer.compress(data) + packer.flush())
print(f"{len(data)} bytes, {out.stat().st_size} packed")
