//! `kubectl overlay` and `flux overlay`: hands the command line to the library and exits.

use std::process::ExitCode;

use kubectl_overlay::output::Console;
use kubectl_overlay::settings::Settings;

/// Objects are many small allocations, made on all cores.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Room for as many layers of bases as a build allows; a main thread may have much less.
const STACK_BYTES: usize = 64 << 20;

fn main() -> ExitCode {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // It panicked, and has said so.
        Ok(Err(_)) => ExitCode::from(101),
        Err(_) => run(),
    }
}

fn run() -> ExitCode {
    let settings = Settings::from_environment();
    let console = Console::of_process(&settings);
    ExitCode::from(kubectl_overlay::run(std::env::args_os(), &settings, &console))
}
