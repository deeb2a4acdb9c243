//! How long each part of a build takes, over trees of 10 to 5,000 objects that are made here.
//!
//! A tree is a base of Deployments, Services and ConfigMaps in equal parts, each Deployment with its
//! ConfigMap, one file for each three; and an overlay with a prefix, a namespace, labels with
//! selectors, an image and a patch. `cargo bench --bench build`.

use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use overlay::build::{Options, build, build_all, print};
use overlay::store::Store;
use overlay::threads::Threads;
use overlay::{Limits, Memory, yaml};

fn application(number: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: app{number}
  labels:
    app: app{number}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: app{number}
  template:
    metadata:
      labels:
        app: app{number}
    spec:
      containers:
      - name: main
        image: registry.example.org/team/app:1.{number}
        ports:
        - containerPort: 8080
        envFrom:
        - configMapRef:
            name: config{number}
        resources:
          limits:
            cpu: 100m
            memory: 128Mi
---
apiVersion: v1
kind: Service
metadata:
  name: app{number}
spec:
  selector:
    app: app{number}
  ports:
  - name: http
    port: 80
    targetPort: 8080
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: config{number}
data:
  key: value{number}
  settings.yaml: |
    index: {number}
    list:
    - a
"
    )
}

const PATCH: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: app0
spec:
  template:
    spec:
      containers:
      - name: main
        env:
        - name: LEVEL
          value: debug
";

fn overlay(files: &mut Memory, name: &str) -> PathBuf {
    let text = format!(
        "resources:\n- ../../base\nnamePrefix: {name}-\nnamespace: {name}\nlabels:\n- pairs:\n    team: a\n  \
         includeSelectors: true\nimages:\n- name: registry.example.org/team/app\n  newTag: v2\npatches:\n- path: patch.yaml\n"
    );
    files.insert(format!("overlays/{name}/kustomization.yaml"), text);
    files.insert(format!("overlays/{name}/patch.yaml"), PATCH);
    PathBuf::from(format!("/overlays/{name}"))
}

fn base(files: &mut Memory, objects: usize) {
    let mut kustomization = String::from("resources:\n");
    for number in 0..objects.div_ceil(3) {
        files.insert(format!("base/app{number}.yaml"), application(number));
        let _ = writeln!(kustomization, "- app{number}.yaml");
    }
    files.insert("base/kustomization.yaml", kustomization);
}

fn tree(objects: usize) -> (Memory, PathBuf) {
    let mut files = Memory::default();
    base(&mut files, objects);
    let root = overlay(&mut files, "production");
    (files, root)
}

fn render(files: &Memory, root: &Path, threads: &Threads) -> String {
    let options = Options { threads: threads.clone(), ..Options::default() };
    let resources = build(files, &Store::new(0), &options, root).output.expect("it builds");
    print(&resources, &options.limits).expect("it prints")
}

fn whole_builds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build and print");
    for objects in [10, 100, 1_000, 5_000] {
        let (files, root) = tree(objects);
        group.throughput(Throughput::Elements(objects as u64)).sample_size(20);
        let all = Threads::new(0);
        for (name, threads) in [("one thread", &Threads::default()), ("all cores", &all)] {
            group.bench_with_input(BenchmarkId::new(name, objects), &threads, |bench, threads| {
                bench.iter(|| black_box(render(&files, &root, threads)));
            });
        }
    }
    group.finish();
}

fn yaml_alone(criterion: &mut Criterion) {
    let simple: String = (0..300).map(|number| format!("---\n{}", application(number))).collect();
    // One flow list is enough to have a document read token by token.
    let general = simple.replace("  - containerPort: 8080", "  - {containerPort: 8080}");
    let file: Arc<str> = "a.yaml".into();
    let mut group = criterion.benchmark_group("yaml");
    group.throughput(Throughput::Bytes(simple.len() as u64));
    for (name, text) in [("read line by line", &simple), ("read token by token", &general)] {
        group.bench_function(name, |bench| {
            bench.iter(|| yaml::read(black_box(text.as_bytes()), &file, &Limits::PERSON));
        });
    }
    let documents = yaml::read(simple.as_bytes(), &file, &Limits::PERSON).expect("YAML");
    group.bench_function("write", |bench| {
        bench.iter(|| {
            let mut out = String::new();
            documents.iter().for_each(|one| yaml::write(one, &mut out).expect("printable"));
            out
        });
    });
    group.finish();
}

fn many_overlays(criterion: &mut Criterion) {
    let mut files = Memory::default();
    base(&mut files, 200);
    let roots: Vec<_> = (0..50).map(|number| overlay(&mut files, &format!("o{number}"))).collect();
    let mut group = criterion.benchmark_group("many");
    group.throughput(Throughput::Elements(roots.len() as u64)).sample_size(20);
    group.bench_function("50 overlays over one base of 200 objects", |bench| {
        bench.iter(|| build_all(&files, &Store::default(), &Options::default(), &roots));
    });
    group.finish();
}

criterion_group!(benches, whole_builds, yaml_alone, many_overlays);
criterion_main!(benches);
