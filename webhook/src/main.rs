//! `overlay-webhook`: serves admission reviews.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use overlay_webhook::config::Config;
use overlay_webhook::log;
use overlay_webhook::run::{self, End, Failure, Webhook};
use overlay_webhook::worker;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == worker::FLAG) {
        return worker::main();
    }
    let config = Config::parse();
    // The message of a panic may quote what was being rendered: only its place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::error("panic", &[("place", place.into())]);
    }));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no runtime: {error}")),
    };
    match runtime.block_on(serve(&config)) {
        Ok(End::Drained) => ExitCode::SUCCESS,
        Ok(End::CutOff) => ExitCode::from(3),
        Err(failure) => failed(&failure.to_string()),
    }
}

async fn serve(config: &Config) -> Result<End, Failure> {
    let stop = stop(signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let webhook = Webhook::start(config, run::client().await?, program()).await?;
    let (tls, plain) = webhook.addresses();
    let text = |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
    log::info("listening", &[("tls", text(tls).into()), ("plain", text(plain).into())]);
    Ok(webhook.serve(stop).await)
}

/// This program, which starts itself anew for each build.
fn program() -> PathBuf {
    // Also there when the file was replaced meanwhile.
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap_or(running) }
}

/// Ends with the first signal. As the first process of a container we get none that we do not ask for.
async fn stop(terminate: std::io::Result<Signal>, interrupt: std::io::Result<Signal>) {
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

fn failed(message: &str) -> ExitCode {
    log::error("cannot start", &[("error", message.into())]);
    ExitCode::from(1)
}
