//! The real Flux: its definitions, source-controller and kustomize-controller.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::error::{Doing, Error, Result};
use crate::plane::{ControlPlane, READY, condition, flag, free_ports};
use crate::programs::{self, Programs};
use crate::request::wait;

/// Where Flux lives in a cluster.
const NAMESPACE: &str = "flux-system";

/// Installs the definitions, as Flux's modules carry them, and the namespace.
pub(crate) fn install(plane: &ControlPlane) -> Result<()> {
    let programs = Programs::build(programs::FLUX)?;
    for file in programs.definitions()? {
        let text = std::fs::read(&file).doing(format_args!("read \"{}\"", file.display()))?;
        let name = definition_name(&file)?;
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
        plane.requests.apply(&path, text)?;
        wait(&format!("the API of {name}"), READY, || {
            Ok(condition(&plane.get(&path)?, "Established").then_some(()))
        })?;
    }
    plane.create_namespace(NAMESPACE)
}

/// `GROUP_PLURAL.yaml` holds the definition `PLURAL.GROUP`: that is how controller-gen names its files.
fn definition_name(file: &std::path::Path) -> Result<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let (group, plural) = stem.split_once('_').ok_or_else(|| {
        Error::new(format!("\"{}\" is not named like a definition", file.display()))
    })?;
    Ok(format!("{plural}.{group}"))
}

/// Starts both controllers and waits until they are ready.
pub(crate) fn start(plane: &ControlPlane) -> Result<()> {
    let programs = Programs::build(programs::FLUX)?;
    let [storage, source_health, kustomize_health] = free_ports()?;
    let storage = format!("127.0.0.1:{storage}");
    let artifacts = plane.group.subfolder("artifacts")?;
    let mut source = controller(plane, &programs, "source-controller", source_health);
    source
        .arg(flag("--storage-path", &artifacts))
        .arg(format!("--storage-addr={storage}"))
        .arg(format!("--storage-adv-addr={storage}"));
    plane.group.start("source-controller", &mut source)?;
    let mut kustomize = controller(plane, &programs, "kustomize-controller", kustomize_health);
    plane.group.start("kustomize-controller", &mut kustomize)?;
    ready(plane, "source-controller", source_health)?;
    ready(plane, "kustomize-controller", kustomize_health)
}

fn controller(plane: &ControlPlane, programs: &Programs, name: &str, health: u16) -> Command {
    let mut command = Command::new(programs.program(name));
    command
        .env("RUNTIME_NAMESPACE", NAMESPACE)
        .env("KUBECONFIG", plane.kubeconfig())
        .arg(format!("--health-addr=127.0.0.1:{health}"))
        .args(["--metrics-addr=0", "--log-encoding=console"]);
    command
}

fn ready(plane: &ControlPlane, name: &str, health: u16) -> Result<()> {
    wait(&format!("a ready {name}"), READY, || {
        plane.group.check(name)?;
        Ok(answers_ok(health).then_some(()))
    })
    .map_err(|error| Error::new(format!("{error}\n{}", plane.log(name))))
}

/// Asks a controller's probe, which speaks plain HTTP.
fn answers_ok(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"HTTP/1.0 200"))
}
