//! The `trainer` command.

fn main() -> std::process::ExitCode {
    pocketgan_trainer::cli::main()
}
