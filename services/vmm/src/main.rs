//! `basalt-vmm`: see the library.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(basalt_vmm::run())
}
