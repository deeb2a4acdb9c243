//! `rehearse`: a Kubernetes API in memory for kubectl and every other client.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::rehearsal::front::{self, Front};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::session;
use crate::args;
use crate::exit;
use crate::output::Console;
use crate::settings::Settings;
use crate::stage::Stage;

/// Runs it.
///
/// # Errors
/// Where the state to begin with cannot be had, the port is taken, or the command cannot be run.
pub fn run(
    args: &args::Rehearse,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let namespace = flags.namespace.as_deref().unwrap_or("default");
    let stage = Stage::set(&args.beginning, settings, namespace)?;
    if namespace != "default" {
        stage.api.ensure_namespace(namespace);
    }
    session::run(async {
        if args.from_cluster {
            copy_cluster(&stage, flags, settings, console).await?;
        }
        serve(args, &stage, namespace, console).await
    })
}

async fn serve(
    args: &args::Rehearse,
    stage: &Stage,
    namespace: &str,
    console: &Console,
) -> Result<u8> {
    let address = SocketAddr::new(args.address.unwrap_or(Ipv4Addr::LOCALHOST.into()), args.port);
    let failed = |place: String, error: std::io::Error| {
        Error::new(ErrorKind::Io, Place::file(place), error.to_string())
    };
    let listener =
        TcpListener::bind(address).await.map_err(|error| failed(address.to_string(), error))?;
    let address = listener.local_addr().map_err(|error| failed(address.to_string(), error))?;
    let front = Front::new(address)?;
    let mut kubeconfig = tempfile::Builder::new()
        .prefix("kubectl-overlay-rehearsal-")
        .suffix(".kubeconfig")
        .tempfile()
        .map_err(|error| failed("a temporary file".into(), error))?;
    let path = kubeconfig.path().to_string_lossy().into_owned();
    let written = kubeconfig.write_all(&front.kubeconfig(namespace));
    written.and_then(|()| kubeconfig.flush()).map_err(|error| failed(path.clone(), error))?;
    let serving = front::serve(stage.api.clone(), listener, front);
    let Some((program, words)) = args.command.split_first() else {
        console.print_line(format_args!("export KUBECONFIG={path}"));
        console.say_line(format_args!(
            "Kubernetes {} in memory at https://{address}; Ctrl-C ends it",
            stage.version
        ));
        tokio::select! {
            () = serving => {}
            () = session::interrupted() => {}
        }
        return Ok(exit::OK);
    };
    let child = Command::new(program)
        .args(words)
        .env("KUBECONFIG", &path)
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .spawn();
    let shown = program.to_string_lossy();
    let mut child = child.map_err(|error| failed(shown.into_owned(), error))?;
    tokio::select! {
        status = child.wait() => {
            let code = status.ok().and_then(|status| status.code());
            Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::ERROR))
        }
        () = serving => Ok(exit::ERROR),
    }
}

/// Takes over what a real cluster has; it is only read.
async fn copy_cluster(
    stage: &Stage,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<()> {
    let server = session::server(flags, settings).await?;
    let copy = overlay::cluster::everything(&server).await?;
    let unknown = stage.api.adopt(&copy.objects);
    console.say_line(format_args!(
        "{} objects copied from {}",
        copy.objects.len() - unknown,
        server.address
    ));
    if unknown > 0 {
        console.say_line(format_args!(
            "{unknown} left out: Kubernetes {} does not have their kinds",
            stage.version
        ));
    }
    if !copy.left_out.is_empty() {
        console.say_line(format_args!("not readable: {}", copy.left_out.join(", ")));
    }
    Ok(())
}
