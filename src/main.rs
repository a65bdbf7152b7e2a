//! `clusterctl-rs`: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use clusterctl::cli::{self, Cli};
use clusterctl::report::Printer;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(cli.log_filter()))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    // One TLS backend for all crates.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            Printer::new().err(&format!("error: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            let printer = Printer::new();
            printer.err_coloured(&error.render(printer.color_err));
            ExitCode::from(error.exit_status() as u8)
        }
    }
}
