//! The in-container program by itself, for architectures that the harness is not built for.

fn main() -> std::process::ExitCode {
    agent::main(&agent::tools::arguments())
}
