//! Functions: programs and containers that make or change objects.
//!
//! A function gets a `ResourceList` on its standard input and gives one back. Kustomize's older
//! plugins, programs in a directory of their own, are run too (`program`).
//!
//! Source: kustomize `api/internal/plugins/{loader,fnplugin}`, `kyaml/fn/runtime`, `kyaml/runfn`.

mod container;
mod outcome;
mod program;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::kustomization::node::{Decode, Node, Rules, decode_as};
use crate::limits::Limits;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::tools::{Call, Functions};
use crate::value::Value;
use crate::yaml::{self, Step};

use program::Program;

/// A function with its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    /// The object that asks for it.
    config: Value,
    runner: Runner,
}

#[derive(Clone, Debug)]
enum Runner {
    Container(Container),
    Exec(Exec),
    Program(Program),
    /// Kustomize takes no notice of a function that it does not know how to run.
    Nothing,
}

/// Where a function runs.
pub(crate) struct Surroundings<'a> {
    /// What is allowed.
    pub(crate) functions: &'a Functions,
    /// Upper bounds.
    pub(crate) limits: &'a Limits,
    /// The directory of the kustomization, on the disk of this machine.
    pub(crate) directory: &'a Path,
    /// Who asks for it.
    pub(crate) place: &'a Place,
    /// What the function says besides its output.
    pub(crate) warnings: &'a mut Vec<Warning>,
}

/// What an object says about the function that it configures.
#[derive(Clone, Debug, Default)]
struct Spec {
    defer_failure: bool,
    container: Container,
    exec: Exec,
}

/// A function in a container.
#[derive(Clone, Debug, Default)]
struct Container {
    image: EcoString,
    network: bool,
    mounts: Vec<Mount>,
    envs: Vec<EcoString>,
}

/// A function that is a program of this machine.
#[derive(Clone, Debug, Default)]
struct Exec {
    path: EcoString,
    args: Vec<EcoString>,
    envs: Vec<EcoString>,
}

/// What a container sees of this machine's files.
#[derive(Clone, Debug, Default)]
struct Mount {
    kind: EcoString,
    source: EcoString,
    target: EcoString,
    is_writable: bool,
}

/// Where an object says which function it configures, the first one counting.
const ANNOTATIONS: [&str; 2] = ["config.kubernetes.io/function", "config.k8s.io/function"];

/// Where older objects name just an image.
const CONTAINER: &str = "config.kubernetes.io/container";

/// Keeps the configuration, which is part of a generator's input, out of the output.
const LOCAL: &str = "config.kubernetes.io/local-config";

impl Function {
    /// The function that `config` asks for.
    ///
    /// # Errors
    /// Where it asks in a way that cannot be read, or for what is not allowed.
    pub(crate) fn new(
        config: &Resource,
        functions: &Functions,
        limits: &Limits,
        place: &dyn Fn(&[Step<'_>]) -> Place,
    ) -> Result<Self> {
        let runner = match spec(config, limits, place)? {
            Some(spec) => spec.runner(functions, &place(&[]))?,
            None => Runner::Program(Program::find(config, functions, &place(&[]))?),
        };
        Ok(Self { config: config.value.clone(), runner })
    }

    /// A file with more arguments, which the caller reads: it knows who may see it.
    pub(crate) fn arguments_file(&self) -> Option<&str> {
        match &self.runner {
            Runner::Program(program) => Some(&*program.arguments_file).filter(|p| !p.is_empty()),
            _ => None,
        }
    }

    /// Adds the arguments of that file.
    pub(crate) fn add_arguments(&mut self, text: &str) {
        if let Runner::Program(program) = &mut self.runner {
            program.add_arguments(text);
        }
    }

    /// Whether it is one that is not run.
    pub(crate) fn is_ignored(&self) -> bool {
        matches!(self.runner, Runner::Nothing)
    }

    /// The objects that it makes.
    ///
    /// # Errors
    /// Where it fails, or gives something other than objects.
    pub(crate) fn generate(&self, around: &mut Surroundings<'_>) -> Result<Vec<Resource>> {
        let mut config = self.config.clone();
        config.set(&["metadata", "annotations", LOCAL], Value::string("true"));
        let made = match &self.runner {
            Runner::Program(program) => program.run(&self.config, &[], around)?,
            Runner::Nothing => outcome::objects_of(vec![config], around.place)?,
            _ => self.call(vec![config], around)?,
        };
        made.into_iter().map(|one| outcome::made(one, around.place)).collect()
    }

    /// Changes, adds and removes objects as the function says.
    ///
    /// # Errors
    /// Where it fails, or gives something other than objects.
    pub(crate) fn transform(
        &self,
        resources: &mut Resources,
        around: &mut Surroundings<'_>,
    ) -> Result<()> {
        let inputs: Vec<Value> = resources.iter().map(outcome::marked).collect::<Result<_>>()?;
        let outputs = match &self.runner {
            Runner::Nothing => return Ok(()),
            Runner::Program(program) => program.run(&self.config, &inputs, around)?,
            _ => self.call(inputs, around)?,
        };
        outcome::update(resources, outputs, around.place)
    }

    fn call(&self, items: Vec<Value>, around: &mut Surroundings<'_>) -> Result<Vec<Resource>> {
        let (program, arguments, environment) = match &self.runner {
            Runner::Container(container) => {
                let arguments = container.arguments(around)?;
                (PathBuf::from("docker"), arguments, Vec::new())
            }
            Runner::Exec(exec) => exec.command(around)?,
            Runner::Program(_) | Runner::Nothing => return Ok(Vec::new()),
        };
        let input = self.resource_list(items)?;
        let call = Call {
            program: &program,
            arguments: &arguments,
            environment: &environment,
            directory: Some(around.directory),
            input: input.as_bytes(),
            limit: around.limits.output_bytes,
            time: None,
        };
        let output = around.run(&call)?;
        outcome::objects(&output, around)
    }

    fn resource_list(&self, items: Vec<Value>) -> Result<String> {
        let mut config = self.config.clone();
        config.set(&["metadata", "annotations", LOCAL], Value::string("true"));
        let mut list = Value::map();
        list.set(&["apiVersion"], Value::string("config.kubernetes.io/v1"));
        list.set(&["kind"], Value::string("ResourceList"));
        list.set(&["items"], Value::List(numbered(items).collect()));
        list.set(&["functionConfig"], config);
        let mut text = String::new();
        yaml::write(&list, &mut text)?;
        Ok(text)
    }
}

/// The items with the position and number that functions find in them.
fn numbered(items: Vec<Value>) -> impl Iterator<Item = Value> {
    items.into_iter().enumerate().map(|(at, mut item)| {
        for (key, number) in [
            ("config.kubernetes.io/index", at),
            ("internal.config.kubernetes.io/index", at),
            ("config.k8s.io/id", at + 1),
            ("internal.config.kubernetes.io/id", at + 1),
        ] {
            item.set(&["metadata", "annotations", key], Value::string(number.to_string()));
        }
        item
    })
}

impl Surroundings<'_> {
    /// The output of a program that succeeds; what else it says becomes warnings.
    fn run(&mut self, call: &Call<'_>) -> Result<Vec<u8>> {
        let finished = call.run(self.place)?;
        let name = call.program.file_name().unwrap_or_default().to_string_lossy();
        if finished.success {
            let lines = finished.messages.lines().filter(|line| !line.trim().is_empty());
            let warning = |line| Warning {
                place: self.place.clone(),
                message: format!("{name} says: {line}"),
            };
            self.warnings.extend(lines.map(warning));
        }
        finished.output(&format!("function {name}"), self.place)
    }
}

/// What `config` says about its function, if it does.
fn spec(
    config: &Resource,
    limits: &Limits,
    place: &dyn Fn(&[Step<'_>]) -> Place,
) -> Result<Option<Spec>> {
    let annotation = |key: &str| {
        let value = config.annotations().and_then(|annotations| annotations.get(key));
        value.and_then(Value::as_text).filter(|text| !text.is_empty())
    };
    for key in ANNOTATIONS {
        if let Some(text) = annotation(key) {
            let at = place(&[Step::Key("metadata"), Step::Key("annotations"), Step::Key(key)]);
            let value = yaml::read_first(text.as_bytes(), &at.file, limits)
                .map_err(|error| error.at(at.clone()))?;
            return decode_as(&value, Rules::CONFIGURATION, &|_| at.clone()).map(Some);
        }
    }
    let path = ["metadata", "configFn"];
    if let Some(value) = config.value.at(&path).filter(|value| !value.is_null()) {
        let at = place(&path.map(Step::Key));
        return decode_as(value, Rules::CONFIGURATION, &|_| at.clone()).map(Some);
    }
    Ok(annotation(CONTAINER).map(|image| {
        let container = Container { image: image.into(), ..Container::default() };
        Spec { container, ..Spec::default() }
    }))
}

impl Spec {
    fn runner(self, functions: &Functions, place: &Place) -> Result<Runner> {
        let forbidden = |message: String| Error::new(ErrorKind::Forbidden, place.clone(), message);
        for Mount { source, .. } in &self.container.mounts {
            let path = crate::files::clean(Path::new(source.as_str()));
            if path.is_absolute() || path.starts_with("..") {
                let message =
                    format!("mount \"{source}\" leaves the directory of the kustomization");
                return Err(forbidden(message).hint("write it relative, without \"..\""));
            }
        }
        if self.container.network && !functions.network {
            let error = forbidden("function wants a network".into());
            return Err(error.hint("allow it with --network"));
        }
        // A failure that may wait until the output is written fails the build all the same.
        let _ = self.defer_failure;
        Ok(if !self.container.image.is_empty() {
            Runner::Container(self.container)
        } else if functions.exec && !self.exec.path.is_empty() {
            Runner::Exec(self.exec)
        } else {
            Runner::Nothing
        })
    }
}

type Command = (PathBuf, Vec<OsString>, Vec<(OsString, OsString)>);

impl Exec {
    fn command(&self, around: &Surroundings<'_>) -> Result<Command> {
        if around.directory == Path::new("/") {
            let message = "functions are not run in the root directory";
            return Err(Error::new(ErrorKind::Forbidden, around.place.clone(), message));
        }
        // A bare name is looked for on the search path, anything else from the kustomization on.
        let path = if self.path.contains('/') {
            around.directory.join(self.path.as_str())
        } else {
            PathBuf::from(self.path.as_str())
        };
        let own = self.envs.iter().map(EcoString::as_str);
        let given = around.functions.env.iter().map(String::as_str);
        let pair = |text: &str| match text.split('=').collect::<Vec<_>>()[..] {
            [name, value] => Some((name.into(), value.into())),
            // Kustomize leaves out what has more or fewer than two parts.
            _ => None,
        };
        let environment = own.chain(given).filter_map(pair).collect();
        Ok((path, self.args.iter().map(|one| one.as_str().into()).collect(), environment))
    }
}

impl Decode for Spec {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["deferFailure", "container", "exec"], |name, node| match name {
            "deferFailure" => self.defer_failure.decode(node),
            "container" => self.container.decode(node),
            _ => self.exec.decode(node),
        });
    }
}

impl Decode for Container {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["image", "network", "mounts", "envs"], |name, node| match name {
            "image" => self.image.decode(node),
            "network" => self.network.decode(node),
            "mounts" => self.mounts.decode(node),
            _ => self.envs.decode(node),
        });
    }
}

impl Decode for Exec {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["path", "args", "envs"], |name, node| match name {
            "path" => self.path.decode(node),
            "args" => self.args.decode(node),
            _ => self.envs.decode(node),
        });
    }
}

impl Decode for Mount {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["type", "src", "dst", "rw"], |name, node| match name {
            "type" => self.kind.decode(node),
            "src" => self.source.decode(node),
            "dst" => self.target.decode(node),
            _ => self.is_writable.decode(node),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::build::{Options, build, print};
    use crate::files::Disk;
    use crate::store::Store;
    use crate::tools::Tools;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";

    /// The configuration of a function that is the program `fn.sh`.
    const CONFIG: &str = "apiVersion: example.com/v1\nkind: Fn\nmetadata:\n  name: fn\n  \
         annotations:\n    config.kubernetes.io/function: |\n      exec: {path: ./fn.sh}\n";

    struct Outcome {
        output: Result<String>,
        warnings: Vec<String>,
    }

    fn rendered(kustomization: &str, script: &str, exec: bool) -> Outcome {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        for (name, text) in
            [("kustomization.yaml", kustomization), ("map.yaml", MAP), ("fn.yaml", CONFIG)]
        {
            std::fs::write(path.join(name), text).expect("written");
        }
        std::fs::write(path.join("fn.sh"), format!("#!/bin/sh\n{script}\n")).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path.join("fn.sh"), executable).expect("made executable");
        let functions = Functions { exec, ..Functions::default() };
        let tools = Tools { functions: Some(functions), ..Tools::default() };
        let options = Options { tools, ..Options::default() };
        let built = build(&Disk::new(path.into()), &Store::default(), &options, path);
        let warnings = built.warnings.into_iter().map(|warning| warning.message).collect();
        Outcome { output: built.output.and_then(|all| print(&all, &Limits::PERSON)), warnings }
    }

    fn transformed(script: &str) -> Outcome {
        rendered("resources: [map.yaml]\nnamePrefix: p-\ntransformers: [fn.yaml]\n", script, true)
    }

    #[test]
    fn a_function_changes_what_it_is_given() {
        let outcome = transformed("echo working >&2; sed 's/k: v/k: w/'");
        let output = outcome.output.expect("valid");
        assert_eq!(
            output,
            "apiVersion: v1\ndata:\n  k: w\nkind: ConfigMap\nmetadata:\n  name: p-a\n"
        );
        assert_eq!(outcome.warnings, ["fn.sh says: working"]);
    }

    #[test]
    fn a_function_adds_and_removes() {
        let script = "cat >/dev/null; echo '{apiVersion: v1, kind: Secret, metadata: {name: s}}'";
        let output = transformed(script).output.expect("valid");
        assert_eq!(output, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n");
        assert_eq!(transformed("cat >/dev/null").output.expect("valid"), "");
    }

    #[test]
    fn a_function_sees_its_configuration() {
        let script = "grep -q 'kind: Fn' && echo '{kind: Seen, metadata: {name: it}}'";
        assert!(transformed(script).output.expect("valid").contains("kind: Seen"));
    }

    #[test]
    fn a_failing_function_fails_the_build() {
        let error = transformed("echo no >&2; exit 1").output.expect_err("failed");
        assert_eq!(error.message(), "function fn.sh failed: no");
    }

    #[test]
    fn a_program_that_is_not_allowed_does_nothing_and_a_warning_says_so() {
        let kustomization = "resources: [map.yaml]\ntransformers: [fn.yaml]\n";
        let outcome = rendered(kustomization, "exit 1", false);
        assert!(outcome.output.expect("valid").contains("name: a"));
        assert!(outcome.warnings[0].contains("--enable-exec"), "{:?}", outcome.warnings);
    }

    #[test]
    fn a_generator_asks_for_a_hash_and_its_configuration_is_no_output() {
        let script = r#"cat > in; sed 's/^apiVersion: .*//;t;d' in > /dev/null
echo 'apiVersion: v1
kind: ConfigMap
metadata: {name: g, annotations: {kustomize.config.k8s.io/needs-hash: "true"}}
data: {a: b}
---
apiVersion: example.com/v1
kind: Fn
metadata: {name: fn, annotations: {config.kubernetes.io/local-config: "true"}}'"#;
        let output = rendered("generators: [fn.yaml]\n", script, true).output.expect("valid");
        assert_eq!(
            output,
            "apiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: g-4h2mbtbbt6\n"
        );
    }
}
