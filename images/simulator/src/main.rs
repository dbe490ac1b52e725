//! The in-container program by itself, for architectures that the harness is not built for.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    agent::main(&args)
}
