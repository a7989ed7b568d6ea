//! Figures that scenarios measure, printed at the end and written to `target/figures.json`.

use anyhow::Result;
use serde_json::{Map, Value, json};
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
