#!/usr/bin/env python3
"""Writes plugin/near.ld: the functions that builds run, which the linker lays side by side.

usage: near.py PROGRAM

PROGRAM is a release build that has its symbols: CARGO_PROFILE_RELEASE_STRIP=none cargo build --release -p kubectl-overlay.
It builds a few overlays under valgrind, whose callgrind notes what is called. Hashes are left out of the names, so that the
list outlives compilers and versions; a name that too many functions share then is listed whole, and left to the patterns at
the end where its hash is another one.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile

from compare import base, overlay, write

HEAD = """/*
 * The functions that builds run, side by side; tests/bench/near.py has written this.
 *
 * Spread over the whole program they lie on ninety pieces of the file, which the kernel maps one by one: a tenth of
 * the time of a small build. The names are parts of mangled ones, without their hashes; what matches nothing
 * changes nothing.
 */
SECTIONS
{
  .text.near :
  {
"""

# What has one name for many types, and the parts of the standard library that come compiled.
TAIL = """    *(.text.*5alloc7raw_vec* .text._*5alloc4sync* .text._*4core4hash* .text.*9once_lock* .text._*3std4sync*)
    *(.text.*9hashbrown3raw*)
    *(.text._R*3std* .text._R*4core* .text._R*5alloc*)
  }
}
INSERT BEFORE .text;
"""

# How many functions of one name, and how many bytes of them, come along with one that is run.
MOST_ALIKE, MOST_BYTES = 40, 24_000

PATCH = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: app0
spec:
  replicas: 5
  template:
    spec:
      containers:
      - name: main
        env:
        - name: A
          value: "1"
"""
PATCHES = """patches:
- path: "patch.yaml"
"""
MORE = PATCHES + """- target: {kind: Service}
  patch: |
    - op: replace
      path: /spec/ports/0/port
      value: 81
configMapGenerator:
- name: settings
  literals: [a=b]
commonAnnotations:
  owner: team-a
replicas:
- name: app0
  count: 3
replacements:
- source: {kind: Deployment, name: app0, fieldPath: metadata.name}
  targets:
  - select: {kind: ConfigMap, name: config0}
    fieldPaths: [data.key]
"""


def patched(tree, objects, patches):
    """An overlay with patches and more over a base."""
    base(tree, objects)
    directory = overlay(tree, "patched")
    write(os.path.join(directory, "patch.yaml"), PATCH)
    with open(os.path.join(directory, "kustomization.yaml"), "a") as file:
        file.write(patches)
    return directory


def called(program, arguments):
    """The mangled names of what is called, each once."""
    with tempfile.NamedTemporaryFile("r") as profile:
        command = ["valgrind", "--tool=callgrind", "--demangle=no", "--callgrind-out-file=" + profile.name, program]
        subprocess.run(command + arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        found = re.findall(r"^c?fn=\(\d+\) (_(?:ZN|R)\S*?)(?:'2)?$", profile.read(), re.M)
    return list(dict.fromkeys(found))


def sizes(program):
    """Names of functions, with their bytes."""
    lines = subprocess.run(["nm", "-S", program], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    parts = (line.split() for line in lines)
    return {part[3]: int(part[1], 16) for part in parts if len(part) == 4 and part[2] in "tT"}


def pattern(name):
    """The name without what changes from one compiler to the next."""
    name = re.sub(r"\.(\d+|llvm\..*)$", "", name)
    if name.startswith("_ZN"):
        return re.sub(r"17h[0-9a-f]{16}E$", "17h*", name)
    return re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name) + "*"


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as tree:
        trees = [("small", 10, PATCHES), ("more", 30, MORE), ("large", 900, PATCHES)]
        overlays = [patched(os.path.join(tree, name), objects, patches) for name, objects, patches in trees]
        runs = [["version"]] + [["build", directory] for directory in overlays]
        names = dict.fromkeys(name for run in runs for name in called(program, run))
    known = sizes(program)
    alike = collections.defaultdict(list)
    for name, size in known.items():
        alike[pattern(name)].append(size)
    chosen = {}
    for name in names:
        matched, own = alike[pattern(name)], known.get(name, 0)
        if 0 < len(matched) <= MOST_ALIKE and sum(matched) <= max(2 * own, MOST_BYTES):
            chosen["*" + pattern(name)] = sum(matched)
        elif own:
            chosen["*" + re.sub(r"\.(\d+|llvm\..*)$", "", name) + "*"] = own
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../plugin/near.ld")
    write(os.path.normpath(path), HEAD + "".join("    *(.text.%s)\n" % one for one in chosen) + TAIL)
    print("%d names, %d bytes" % (len(chosen), sum(chosen.values())))


if __name__ == "__main__":
    main()
