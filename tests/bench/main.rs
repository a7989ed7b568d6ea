//! Runs one benchmark of one monitor, on the appliance: `basalt-bench basalt|microvm|q35
//! measure|state`, in the folder with everything that is needed. Prints figures as one JSON object.
//!
//! Times are taken here, beside the monitor, so that no connection to the appliance is in them. What
//! the guest measures it prints on its serial port, as lines `bench: NAME VALUE`.

mod monitor;
mod serial;

use monitor::{Monitor, Phase};
use serial::Serial;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Figures = BTreeMap<String, f64>;

/// Longest wait for anything a guest does.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [monitor, phase] = words.as_slice() else {
        return Err("usage: basalt-bench basalt|microvm|q35 measure|state".into());
    };
    let monitor = Monitor::named(monitor).ok_or("there is no such monitor")?;
    let figures = match phase.as_str() {
        "measure" => measure(monitor)?,
        "state" => state(monitor)?,
        _ => return Err("there is no such benchmark".into()),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// A start, what the guest measures, and the memory the monitor takes after that.
fn measure(monitor: Monitor) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut running = monitor.start(Phase::Measure)?;
    let mut serial = Serial::of(&mut running.child)?;
    boot(&mut serial, running.begun, &mut figures)?;
    loop {
        let line = serial.next(PATIENCE)?;
        match line.words.as_slice() {
            [done] if done == "done" => break,
            [name, value] => {
                let value: f64 = value.parse().map_err(|_| format!("{name}: {value:?}"))?;
                figures.insert(name.clone(), value);
            }
            _ => {}
        }
    }
    figures.insert("memory-working".to_owned(), running.own_memory()?);
    figures.insert("binary".to_owned(), monitor.binary_size()?);
    running.end();
    Ok(figures)
}

/// A start, a guest that counts, its state saved, and from there on until it counts again.
fn state(monitor: Monitor) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut running = monitor.start(Phase::Count)?;
    let mut serial = Serial::of(&mut running.child)?;
    boot(&mut serial, running.begun, &mut figures)?;
    serial.until("tick", PATIENCE)?;
    figures.insert("memory".to_owned(), running.own_memory()?);
    let begun = Instant::now();
    running.save()?;
    figures.insert("save".to_owned(), begun.elapsed().as_secs_f64());
    running.end();

    let mut running = monitor.start(Phase::Restore)?;
    let mut serial = Serial::of(&mut running.child)?;
    running.resume()?;
    let tick = serial.until("tick", PATIENCE)?;
    figures.insert("restore".to_owned(), (tick - running.begun).as_secs_f64());
    running.end();
    Ok(figures)
}

fn boot(serial: &mut Serial, begun: Instant, figures: &mut Figures) -> Result<()> {
    let up = serial.until("up", PATIENCE)?;
    figures.insert("boot".to_owned(), (up - begun).as_secs_f64());
    Ok(())
}
