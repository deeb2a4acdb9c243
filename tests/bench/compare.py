#!/usr/bin/env python3
"""Times whole processes: `kubectl-overlay build` and a reference, in turn, on the same trees.

usage: compare.py [--ours target/release/kubectl-overlay] [--reference "kubectl kustomize"] [--flux PROGRAM] [--runs 5] [TABLE...]

TABLE: sizes (10 to 5,000 objects), crds (3 MB of CustomResourceDefinitions), all (500 overlays in one process, against as
many runs of the reference), flux (200 Kustomizations in one process, against as many runs of the flux program, which
tests/control-plane/build.sh builds), linear (100 to 50,000 objects, ours alone), start (of the program). All of them by default.
Every row says whether the outputs are equal; times are medians of whole processes, memory is their peak as /usr/bin/time
has it. Only ratios within one run mean something.
"""
import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

APPLICATION = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: app{i}
  labels:
    app: app{i}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: app{i}
  template:
    metadata:
      labels:
        app: app{i}
    spec:
      containers:
      - name: main
        image: registry.example.org/team/app:1.{i}
        ports:
        - containerPort: 8080
        envFrom:
        - configMapRef:
            name: config{i}
        env:
        - name: INDEX
          value: "{i}"
        resources:
          limits:
            cpu: 100m
            memory: 128Mi
---
apiVersion: v1
kind: Service
metadata:
  name: app{i}
spec:
  selector:
    app: app{i}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: config{i}
data:
  key: value{i}
  settings.yaml: |
    index: {i}
    list:
    - a
"""
OVERLAY = """resources:
- ../../base
namePrefix: {name}-
namespace: {name}
labels:
- pairs:
    team: a
  includeSelectors: true
images:
- name: registry.example.org/team/app
  newTag: v2
"""
KUSTOMIZATION = """apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: {name}
  namespace: flux-system
spec:
  interval: 10m
  prune: true
  path: ./overlays/{name}
  sourceRef:
    kind: GitRepository
    name: flux-system
  commonMetadata:
    labels:
      cluster: production
  postBuild:
    substitute:
      region: europe
"""
PROPERTY = """{pad}field{n}:
{pad}  description: Says how the part number {n} of this object is to be treated, where the cluster has an opinion of its own and none is given here.
{pad}  type: object
{pad}  properties:
{pad}    name:
{pad}      description: 'The name of it: one that is not taken yet.'
{pad}      type: string
{pad}      maxLength: 253
{pad}    values:
{pad}      type: array
{pad}      items:
{pad}        type: string
{pad}      x-kubernetes-list-type: set
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def base(root, objects):
    names = ["app%d.yaml" % i for i in range((objects + 2) // 3)]
    for i, name in enumerate(names):
        write(os.path.join(root, "base", name), APPLICATION.format(i=i))
    write(os.path.join(root, "base", "kustomization.yaml"), "resources:\n" + "".join("- %s\n" % n for n in names))


def overlay(root, name):
    write(os.path.join(root, "overlays", name, "kustomization.yaml"), OVERLAY.format(name=name))
    return os.path.join(root, "overlays", name)


def crds(root, count, properties):
    body = "".join(PROPERTY.format(pad=" " * 14, n=n) for n in range(properties))
    for i in range(count):
        write(os.path.join(root, "crd%d.yaml" % i), (
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: kinds%d.example.org\nspec:\n"
            "  group: example.org\n  names: {kind: Kind%d, plural: kinds%d}\n  scope: Namespaced\n  versions:\n  - name: v1\n"
            "    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n"
            "          spec:\n            type: object\n            properties:\n" % (i, i, i)) + body)
    write(os.path.join(root, "kustomization.yaml"),
          "commonLabels:\n  team: a\nresources:\n" + "".join("- crd%d.yaml\n" % i for i in range(count)))


def run(command, directory=None):
    """Seconds, peak in MiB, and the output."""
    with tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile("r") as report:
        begun = time.monotonic()
        subprocess.run(["/usr/bin/time", "-f", "%M", "-o", report.name] + command, stdout=out, stderr=subprocess.DEVNULL, cwd=directory, check=True)
        took = time.monotonic() - begun
        out.seek(0)
        return took, int(report.read()) / 1024, out.read()


def compare(label, ours, reference, runs):
    mine, theirs = [], []
    run(ours)
    for _ in range(runs):
        mine.append(run(ours))
        theirs.append(run(reference))
    median = lambda rows, i: statistics.median(row[i] for row in rows)
    (a, b), (m, n) = (median(mine, 0), median(theirs, 0)), (median(mine, 1), median(theirs, 1))
    equal = mine[0][2] == theirs[0][2]
    print("%-24s %9d B | %9.4f s %6.1f MiB | %9.4f s %6.1f MiB | %7.1f x  1/%-5.1f %s"
          % (label, len(mine[0][2]), a, m, b, n, b / a, n / m, "equal" if equal else "DIFFERENT"), flush=True)
    return equal


def documents(output):
    """The objects, without the line that names their Kustomization."""
    lines = [line for line in output.decode().splitlines() if not line.startswith("# Kustomization/")]
    return sorted(text.strip() for text in ("\n" + "\n".join(lines) + "\n").split("\n---\n") if text.strip())


def flux(tree, ours, args):
    program = args.flux
    if not program:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../control-plane/build.sh")
        built = subprocess.run([script, "flux"], stdout=subprocess.PIPE, check=True)
        program = os.path.join(built.stdout.decode().strip(), "bin/flux")
    base(tree, 10)
    names = ["o%03d" % i for i in range(200)]
    for name in names:
        overlay(tree, name)
        write(os.path.join(tree, "clusters/production", name + ".yaml"), KUSTOMIZATION.format(name=name))
    command = [os.path.abspath(ours[0])] + ours[1:] + ["flux", "build", "--all", "./clusters/production"]
    rows = [run(command, tree) for _ in range(args.runs)]
    mine = statistics.median(row[0] for row in rows)
    theirs = []
    begun = time.monotonic()
    for name in names:
        theirs += documents(run([program, "build", "kustomization", name, "--path", "overlays/" + name, "--dry-run",
                                 "--kustomization-file", "clusters/production/%s.yaml" % name], tree)[2])
    took = time.monotonic() - begun
    same = documents(rows[0][2]) == sorted(theirs)
    print("200 Kustomizations: %.3f s in one process, %.1f s in 200 runs of flux, %.0f x %s"
          % (mine, took, took / mine, "equal" if same else "DIFFERENT"), flush=True)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="target/release/kubectl-overlay")
    parser.add_argument("--reference", default="kubectl kustomize")
    parser.add_argument("--flux")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("tables", nargs="*", default=[])
    args = parser.parse_args()
    ours, reference = shlex.split(args.ours), shlex.split(args.reference)
    tables = args.tables or ["sizes", "crds", "all", "flux", "linear", "start"]
    equal = True
    with tempfile.TemporaryDirectory(prefix="overlay-bench-") as root:
        if "sizes" in tables:
            for objects in (10, 100, 1000, 5000):
                tree = os.path.join(root, str(objects))
                base(tree, objects)
                top = overlay(tree, "production")
                equal &= compare("%d objects" % objects, ours + ["build", top], reference + [top], args.runs if objects <= 1000 else 1)
        if "crds" in tables:
            tree = os.path.join(root, "crds")
            crds(tree, 30, 200)
            equal &= compare("30 CRDs", ours + ["build", tree], reference + [tree], args.runs)
        if "all" in tables:
            tree = os.path.join(root, "all")
            base(tree, 10)
            tops = [overlay(tree, "o%03d" % i) for i in range(500)]
            out = os.path.join(root, "out")
            command = ours + ["build", "--all", tree, "--output", out]
            mine = statistics.median(run(command)[0] for _ in range(args.runs))
            begun = time.monotonic()
            theirs = [run(reference + [top])[2] for top in tops]
            took = time.monotonic() - begun
            rendered = []
            for folder, _, files in os.walk(out):
                rendered += [open(os.path.join(folder, name), "rb").read() for name in files]
            same = sorted(rendered) == sorted(theirs)
            equal &= same
            print("500 overlays: %.3f s in one process, %.1f s in 500 runs of the reference, %.0f x %s"
                  % (mine, took, took / mine, "equal" if same else "DIFFERENT"), flush=True)
        if "flux" in tables:
            equal &= flux(os.path.join(root, "flux"), ours, args)
        if "linear" in tables:
            for objects in (100, 1000, 5000, 10000, 20000, 50000):
                tree = os.path.join(root, "linear")
                base(tree, objects)
                top = overlay(tree, "production")
                rows = [run(ours + ["build", top]) for _ in range(args.runs)]
                took, peak = statistics.median(r[0] for r in rows), rows[0][1]
                print("%6d objects: %8.1f ms, %6.1f us each, %6.1f MiB" % (objects, took * 1e3, took * 1e6 / objects, peak), flush=True)
        if "start" in tables:
            for command in (["/bin/true"], ours + ["version"]):
                rows = []
                for _ in range(40):
                    begun = time.monotonic()
                    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                    rows.append(time.monotonic() - begun)
                print("%-40s %.2f ms" % (" ".join(command), statistics.median(rows) * 1e3))
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
