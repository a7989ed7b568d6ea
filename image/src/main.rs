//! `cargo image`: builds, runs and tests the appliance. `cargo image help` lists everything.

use anyhow::Result;
use basalt_image::appliance::instance::{Name, NodeName};
use basalt_image::appliance::{console, run, sync};
use basalt_image::build::reproduce::{self, Depth};
use basalt_image::build::{self, Variant, lock};
use basalt_image::keys::token::Uri;
use basalt_image::keys::{Keys, Tokens};
use basalt_image::{fuzz, publish, testing};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo image",
    about = "Builds, runs and tests the appliance",
    version
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the image: root, kernel image, ISO, kernel image for network boot, and update bundle
    Build(BuildOptions),
    /// Move the package lock to what the mirror has now
    Lock,
    /// Make a set of signing keys: for releases with --out, else those of development builds
    Keys {
        /// The folder to make, which must not be there yet; BASALT_KEYS names it to later builds
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// The boot key is in a token: pkcs11:token=…;object=…?module-path=…&pin-source=file:…
        #[arg(long, value_name = "URI", requires = "out")]
        boot_key: Option<Uri>,
        /// The update key (Ed25519) is in a token
        #[arg(long, value_name = "URI", requires = "out")]
        update_key: Option<Uri>,
    },
    /// Build, and put the update bundle into a folder that a web server offers to hosts, with what
    /// machines start the installer from over the network
    Publish {
        /// The folder; what it holds of other versions stays
        dir: PathBuf,
        /// The channel whose latest version it becomes: stable or testing
        #[arg(long, default_value_t)]
        channel: publish::Channel,
        #[command(flatten)]
        build: BuildOptions,
    },
    /// Bring every input of a build into the caches, so that builds need no network
    Fetch,
    /// Build a second time elsewhere, and check that every result is the same bit for bit
    Reproduce {
        /// Check what users get, instead of the development image
        #[arg(long)]
        release: bool,
        /// Take over what the first build made of other people's code
        #[arg(long)]
        short: bool,
    },
    /// List what takes the space in the root
    Parts {
        /// Of what users get, instead of the development image
        #[arg(long)]
        release: bool,
        /// How many parts to list
        #[arg(long, default_value_t = 10)]
        count: usize,
    },
    /// Run appliances in QEMU; builds and installs what is missing
    Run(run::Options),
    /// List the instances and whether they run
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a command on an appliance; its exit status becomes ours
    Exec {
        /// The instance, or INSTANCE/NODE
        name: NodeName,
        /// One word is a line of shell; several are a program and its arguments
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Attach this terminal to an appliance's serial console
    Console {
        /// The instance, or INSTANCE/NODE
        name: NodeName,
    },
    /// Shut the appliances of an instance down; their state is kept
    Stop {
        /// The instance
        #[arg(default_value = basalt_image::appliance::instance::DEFAULT_NAME)]
        name: Name,
    },
    /// Remove an instance and everything in it
    Delete {
        /// The instance
        name: Name,
    },
    /// Rebuild, and bring what changed into a running development appliance
    Sync {
        /// The instance, or INSTANCE/NODE
        #[arg(default_value = basalt_image::appliance::instance::DEFAULT_NAME)]
        name: NodeName,
    },
    /// Test everything: units, the web interface, and scenarios on the real image
    Test(testing::Options),
    /// Run the fuzz targets on everything that guests and clients send
    Fuzz(fuzz::Options),
    /// Compile and make no image, started by `reproduce` under another user id
    #[command(name = reproduce::COMPILE_COMMAND, hide = true)]
    BuildPrograms {
        #[arg(long)]
        workspace: PathBuf,
        #[arg(long)]
        release: bool,
    },
    /// Second half of a build, started by the first in a namespace of its own
    #[command(name = build::STAGE_COMMAND, hide = true)]
    Stage {
        /// What to do
        task: PathBuf,
    },
}

#[derive(clap::Args)]
struct BuildOptions {
    /// The image's version; the workspace's when not given
    #[arg(long)]
    version: Option<String>,
    /// Build what users get, instead of the development image
    #[arg(long)]
    release: bool,
    /// The sources to build, instead of those of this program
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Where the results go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder laid over the finished root
    #[arg(long, value_name = "DIR")]
    overlay: Option<PathBuf>,
    /// Take our programs from this folder instead of compiling them
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match act(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<ExitCode> {
    match command {
        Command::Build(options) => {
            build_image(options)?;
        }
        Command::Publish {
            dir,
            channel,
            build,
        } => {
            let built = build_image(build)?;
            publish::publish(&built, &dir, channel)?;
            publish::publish_netboot(&built, &dir)?;
        }
        Command::Lock => {
            for change in lock::refresh()? {
                println!("{change}");
            }
        }
        Command::Keys {
            out,
            boot_key,
            update_key,
        } => {
            let tokens = Tokens {
                boot: boot_key,
                update: update_key,
            };
            let keys = match out {
                Some(dir) => Keys::make(&dir, &tokens)?,
                None => Keys::development()?,
            };
            println!("{}", keys.dir().display());
        }
        Command::Fetch => build::fetch_inputs()?,
        Command::Reproduce { release, short } => {
            let depth = if short { Depth::Short } else { Depth::Full };
            return reproduce_image(variant(release), depth);
        }
        Command::Parts { release, count } => list_parts(variant(release), count)?,
        Command::Run(options) => run::run(&options)?,
        Command::List { json } => run::list(json)?,
        Command::Exec { name, command } => {
            let status = name.running()?.ssh().interactive(&command)?;
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        Command::Console { name } => console::attach(&name.running()?)?,
        Command::Stop { name } => run::stop(&name)?,
        Command::Delete { name } => run::delete(&name)?,
        Command::Sync { name } => sync::sync(&name.running()?)?,
        Command::Test(options) => return testing::test(&options),
        Command::Fuzz(options) => return fuzz::fuzz(&options),
        Command::BuildPrograms { workspace, release } => {
            build::compile(&build::Options {
                workspace: Some(workspace),
                variant: variant(release),
                ..build::Options::default()
            })?;
        }
        Command::Stage { task } => build::enter_stage(&task)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn variant(release: bool) -> Variant {
    if release {
        Variant::Release
    } else {
        Variant::Development
    }
}

fn reproduce_image(variant: Variant, depth: Depth) -> Result<ExitCode> {
    let report = reproduce::reproduce(variant, depth)?;
    for (name, sha256) in &report.artefacts {
        println!("{sha256}  {name}");
    }
    for fault in &report.faults {
        eprintln!("error: {fault}");
    }
    if let Some(kept) = &report.kept {
        eprintln!("the second build is kept in {}", kept.display());
        return Ok(ExitCode::FAILURE);
    }
    println!("both builds are the same");
    Ok(ExitCode::SUCCESS)
}

fn list_parts(variant: Variant, count: usize) -> Result<()> {
    let built = build::build(&build::Options {
        variant,
        ..build::Options::default()
    })?;
    let parts = build::parts::parts(&built)?;
    let all: u64 = parts.iter().map(|part| part.size).sum();
    let line = |size: u64, path: &str| {
        let share = size * 100 / all.max(1);
        println!("{:>8.1} MB {share:>3} %  {path}", size as f64 / 1e6);
    };
    for part in parts.iter().take(count) {
        line(part.size, &part.path);
    }
    let rest = parts.iter().skip(count).map(|part| part.size).sum();
    line(
        rest,
        &format!("{} others", parts.len().saturating_sub(count)),
    );
    line(all, "the whole root, uncompressed");
    Ok(())
}

fn build_image(options: BuildOptions) -> Result<build::Artifacts> {
    let built = build::build(&build::Options {
        version: options.version,
        variant: variant(options.release),
        workspace: options.workspace,
        out: options.out,
        overlay: options.overlay,
        netboot: true,
        programs: options.programs,
    })?;
    if options.json {
        println!("{}", serde_json::to_string(&built)?);
    } else {
        println!("version  {}", built.version);
        println!("iso      {}", built.iso.display());
        println!("netboot  {}", built.netboot.display());
        println!("bundle   {}", built.bundle.display());
    }
    Ok(built)
}
