//! `standin`: one program that plays every Kubernetes component, by the name it is called.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args_os()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let called = args
        .first()
        .and_then(|a| a.rsplit('/').next())
        .unwrap_or("standin")
        .to_owned();
    let component = if called.starts_with("standin") {
        if args.len() < 2 {
            eprintln!(
                "usage: standin <component> [flags] | standin artifacts --version vX.Y.Z --out DIR"
            );
            return ExitCode::from(2);
        }
        args.remove(1)
    } else {
        called
    };
    ExitCode::from(clusterctl_standins::run(&component, &args[1..]))
}
