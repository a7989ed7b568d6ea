//! The machine monitor: one process per VM.
//!
//! `basalt-vmm` finds a connected socket as its standard input, takes a machine's description
//! and its open files from it ([`spec`]), closes the [`sandbox`], builds the [`machine`] and
//! serves requests until the guest is gone ([`control`]). It opens no path.
//!
//! Whatever the guest can touch is on the way from a virtual CPU ([`machine::vcpu`]) through the
//! [`bus`] to [`devices`], [`pci`] and [`virtio`]; all of that treats every value as hostile. What
//! it shows, and what people type, goes through [`display`].

pub mod bus;
pub mod channel;
pub mod control;
pub mod devices;
pub mod disk;
pub mod display;
pub mod event;
pub mod machine;
pub mod pci;
pub mod sandbox;
pub mod spec;
pub mod state;
pub mod terminal;
pub mod tpm;
pub mod vfio;
pub mod virtio;

use std::io::{self, Write};
use std::os::fd::AsFd;

use basalt_model::machine::Started;

use control::{Outcome, Server};
use sandbox::ThreadClass;
use spec::Resources;

/// Ends the process at once, with a message on standard error.
pub(crate) fn fatal(message: &str) -> ! {
    // Standard error may be gone, and there is no other place to complain.
    let _ = writeln!(io::stderr(), "{message}");
    std::process::exit(1)
}

/// The whole life of the process. Returns its exit status.
pub fn run() -> u8 {
    prepare_process();
    let starter = io::stdin();
    let server = match start(&starter) {
        Ok(server) => server,
        Err(reason) => {
            tracing::error!(%reason, "the machine does not start");
            answer(&starter, &Started::Failed(reason));
            return 1;
        }
    };
    answer(&starter, &Started::Ok);
    match server.run() {
        Outcome::Ended => 0,
        Outcome::Failed(_) => 1,
    }
}

/// Makes the language's and the C library's machinery fit for the sandbox.
fn prepare_process() {
    // A panic is a bug; going on with half a machine would be a worse one. The usual handler
    // would read files to print a trace.
    std::panic::set_hook(Box::new(|panic| fatal(&format!("basalt-vmm: {panic}"))));
    // With several heaps the C library reads files under /proc and /sys when they shrink.
    // SAFETY: called before any other thread exists.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    // Guest memory belongs neither into core files nor into the hands of other monitors, which
    // may run as the same user. Cannot fail with these arguments.
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .finish();
    // Fails only if set before, which nobody does.
    let _ = tracing::subscriber::set_global_default(log);
}

fn start(starter: &io::Stdin) -> Result<Server, String> {
    let text = |e: &dyn std::error::Error| e.to_string();
    let (spec, descriptors) = spec::receive(starter.as_fd()).map_err(|e| text(&e))?;
    let (resources, listeners) = Resources::check(spec, descriptors).map_err(|e| text(&e))?;
    tracing::info!(vmid = resources.vmid, name = %resources.name, "starting");
    machine::vcpu::install_kick_handler().map_err(|e| text(&e))?;
    let keep = resources.descriptors(&listeners);
    sandbox::descriptors::close_all_but(&keep).map_err(|e| text(&e))?;
    sandbox::landlock::close().map_err(|e| text(&e))?;
    let class = ThreadClass::Main {
        shares: !resources.shares.is_empty(),
        host_devices: !resources.passthrough.devices.is_empty(),
        host_nodes: resources.ground.is_placed_anew(),
    };
    sandbox::enter(class).map_err(|e| text(&e))?;
    Server::start(resources, listeners).map_err(|e| text(&e))
}

fn answer(starter: &io::Stdin, started: &Started) {
    let Ok(mut line) = serde_json::to_vec(started) else {
        return;
    };
    line.push(b'\n');
    // A starter that went away does not matter to the machine.
    let _ = rustix::io::write(starter.as_fd(), &line);
}
