//! The program `officials-card`.

fn main() -> std::process::ExitCode {
    officials_card::cli::main()
}
