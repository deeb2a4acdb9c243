//! `kubectl overlay` and `flux overlay`: hands the command line to the library and exits.

use std::process::ExitCode;

use kubectl_overlay::output::Console;
use kubectl_overlay::settings::Settings;

fn main() -> ExitCode {
    let settings = Settings::from_environment();
    let console = Console::of_process(&settings);
    ExitCode::from(kubectl_overlay::run(std::env::args_os(), &settings, &console))
}
