//! Hands the arguments to the command line.
fn main() -> std::process::ExitCode {
    signet::cli::run(std::env::args_os())
}
