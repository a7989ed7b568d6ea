//! Asks everywhere at once, on the consoles and in a browser; the first complete answer counts.

use std::sync::mpsc::{Receiver, channel};

use anyhow::Context;

use crate::browser::Browser;
use crate::plan::Plan;
use crate::report::Report;
use crate::source::Source;
use crate::terminal::{self, Stop};

/// What came of asking somewhere.
pub struct Decision {
    /// Where: a console's path, or the browser.
    pub from: String,
    /// What is to be done.
    pub plan: anyhow::Result<Plan>,
}

/// Everyone who may be asked.
pub struct Faces {
    consoles: Vec<String>,
    stop: Stop,
    browser: Option<Browser>,
    decisions: Receiver<Decision>,
}

impl Faces {
    /// Begins to ask on these consoles, and in a browser if there is a network.
    pub fn open(consoles: &[String], source: &Source, report: &Report) -> anyhow::Result<Self> {
        let (sender, decisions) = channel();
        let stop = Stop::new().context("a pipe")?;
        let browser = Browser::open(source, report.board(), consoles, &sender)
            .inspect_err(|error| tracing::warn!("no browser interface: {error:#}"))
            .ok();
        terminal::start(consoles, source, &stop, &sender);
        Ok(Self {
            consoles: consoles.to_vec(),
            stop,
            browser,
            decisions,
        })
    }

    /// Waits for the first plan that somebody said yes to.
    pub fn decide(&self) -> anyhow::Result<Plan> {
        let mut open = self.consoles.len() + usize::from(self.browser.is_some());
        let mut last = None;
        while open > 0 {
            let Decision { from, plan } = self.decisions.recv().context("nobody can be asked")?;
            match plan {
                Ok(plan) => {
                    self.stop.now();
                    for other in self.consoles.iter().filter(|other| **other != from) {
                        terminal::write(
                            other,
                            &format!("\r\nThe installation was started on {from}.\r\n"),
                        );
                    }
                    return Ok(plan);
                }
                Err(error) => {
                    tracing::warn!(from, "the dialog ended: {error:#}");
                    last = Some(error);
                    open -= 1;
                }
            }
        }
        Err(last.context("there is no console to ask on, no network, and no answer file")?)
    }

    /// Gives a browser that watches the time to see how it ended.
    pub fn farewell(&self) {
        if let Some(browser) = &self.browser {
            browser.farewell();
        }
    }
}

/// Waits until somebody wants to start over, on any console or in the browser.
pub fn wait_for_again(faces: Option<&Faces>, consoles: &[String]) {
    let (sender, again) = channel();
    let Ok(stop) = Stop::new() else {
        return;
    };
    terminal::on_enter(consoles, &stop, &sender);
    if let Some(browser) = faces.and_then(|faces| faces.browser.as_ref()) {
        browser.on_again(sender.clone());
    }
    drop(sender);
    if again.recv().is_err() {
        // Without anybody to ask, the reason stays in the journal; starting over at once would
        // only repeat it.
        std::thread::park();
    }
}
