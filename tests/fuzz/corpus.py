#!/usr/bin/env python3
"""Writes what the fuzz targets begin with, from the cases of tests/suite. usage: tests/fuzz/corpus.py DIR"""

import hashlib
import pathlib
import re
import sys

out = pathlib.Path(sys.argv[1])
suite = pathlib.Path(__file__).parent.parent / "suite"
said = ("output", "error", "warnings", "directory", "differs")


def keep(target, text):
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def cases():
    for file in sorted(suite.glob("*.txt")):
        for case in re.split(r"^=== .*\n", file.read_text(), flags=re.M)[1:]:
            parts = re.split(r"^-- (.*) --\n", case, flags=re.M)[1:]
            yield {name: text for name, text in zip(parts[::2], parts[1::2]) if name not in said}


for files in cases():
    keep("trees", "".join(f"-- {name} --\n{text}" for name, text in files.items()))
    kustomizations = [text for name, text in files.items() if name.endswith("kustomization.yaml")]
    objects = [text for name, text in files.items() if not name.endswith("kustomization.yaml")]
    for text in kustomizations:
        keep("kustomization", text)
    for text in files.values():
        keep("yaml", text)
        keep("texts", text + "\0  # above\n  a: 'b' # c\n  l: [1, ~]\n")
    for first in objects:
        for kustomization in kustomizations:
            inline = re.findall(r"^ *-? *patch: \|-?\n((?:    .*\n)+)", kustomization, flags=re.M)
            for patch in [*inline, *objects]:
                keep("patches", first + "\0" + patch)
            for entry in re.split(r"^- ", kustomization.partition("replacements:\n")[2], flags=re.M)[1:]:
                keep("replacements", first + "\0" + "  " + entry)
