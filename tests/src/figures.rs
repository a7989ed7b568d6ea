//! Figures that scenarios measure, printed at the end and written to `target/figures.json`; with
//! `BASALT_WRITE_FIGURES` also to `docs/figures.md`, beside what the peers say of themselves.

use anyhow::Result;
use basalt_image::build::paths;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

/// Measured values with their units.
#[derive(Default)]
pub struct Figures(Mutex<Map<String, Value>>);

impl Figures {
    /// Records one value.
    pub fn record(&self, name: &str, value: f64, unit: &str) {
        let rounded = (value * 100.0).round() / 100.0;
        if let Ok(mut figures) = self.0.lock() {
            figures.insert(name.to_owned(), json!({ "value": rounded, "unit": unit }));
        }
    }

    /// Prints them, and writes those of this run over those of earlier ones.
    pub fn publish(&self, file: &Path) -> Result<()> {
        let Ok(figures) = self.0.lock() else {
            return Ok(());
        };
        let earlier = fs::read_to_string(file).unwrap_or_default();
        let mut all: Map<String, Value> = serde_json::from_str(&earlier).unwrap_or_default();
        for (name, figure) in figures.iter() {
            eprintln!(
                "  {name:44} {:>10} {}",
                figure["value"],
                figure["unit"].as_str().unwrap_or("")
            );
            all.insert(name.clone(), figure.clone());
        }
        fs::write(file, serde_json::to_string_pretty(&all)?)?;
        if std::env::var_os("BASALT_WRITE_FIGURES").is_some() {
            let page = paths::workspace().join("docs/figures.md");
            fs::write(&page, page_of(&all))?;
        }
        Ok(())
    }
}

const PAGE: &str = "# Figures

Measured by `BASALT_WRITE_FIGURES=1 cargo image test figures`, which writes this page. The machine was
emulated (QEMU without hardware virtualisation, the appliance's guests by nested emulation), so its times
are several times those of a real host; sizes and memory are the same everywhere.

| what | Basalt | Proxmox VE | IncusOS |
|---|---|---|---|
";

/// What the peers publish of themselves: the beginning of a figure's name, then a cell for each.
const PEERS: [(&str, &str, &str); 3] = [
    ("ISO size", "1.6 to 1.8 GB", "–"),
    (
        "memory held by the idle host",
        "at least 1 GB asked for, without guests",
        "at least 4 GiB asked for",
    ),
    (
        "update bundle size",
        "packages, no image",
        "a root of 1 GiB",
    ),
];

fn page_of(all: &Map<String, Value>) -> String {
    let mut page = PAGE.to_owned();
    for (name, figure) in all {
        let peers = PEERS.iter().find(|(begin, ..)| name.starts_with(begin));
        let (_, proxmox, incus) = peers.unwrap_or(&("", "", ""));
        let unit = figure["unit"].as_str().unwrap_or_default();
        let value = &figure["value"];
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {name} | {value} {unit} | {proxmox} | {incus} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_figure_beside_its_peers() {
        let figures = Figures::default();
        figures.record("ISO size", 165.25, "MiB");
        figures.record("boot: kernel", 2.0, "s");
        let page = page_of(&figures.0.lock().unwrap());
        assert!(page.contains("| ISO size | 165.25 MiB | 1.6 to 1.8 GB |"));
        assert!(page.contains("| boot: kernel | 2.0 s |  |  |"));
    }

    #[test]
    fn earlier_figures_stay_until_measured_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("figures.json");
        for (name, value) in [("a", 1.0), ("b", 2.0), ("a", 3.456)] {
            let figures = Figures::default();
            figures.record(name, value, "s");
            figures.publish(&file).unwrap();
        }
        let all: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(all["a"]["value"], 3.46);
        assert_eq!(all["b"]["value"], 2.0);
    }
}
