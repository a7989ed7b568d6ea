//! Who watches an update and may stop it.

use crate::Error;

/// Hears of every step and may ask to stop.
pub trait Observer {
    /// Something worth a line.
    fn say(&mut self, text: &str);

    /// How far everything is, from 0 to 100.
    fn progress(&mut self, _percent: u8) {}

    /// Whether to stop at the next opportunity.
    fn cancelled(&self) -> bool {
        false
    }
}

/// The part of the whole that one step is.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Percent at which it begins.
    pub from: u8,
    /// Percent at which it ends.
    pub to: u8,
}

impl Span {
    /// Tells that `done` of `total` bytes of this step are behind us.
    ///
    /// # Errors
    /// When the observer wants to stop.
    pub fn reached(self, done: u64, total: u64, observer: &mut dyn Observer) -> Result<(), Error> {
        if observer.cancelled() {
            return Err(Error::Cancelled);
        }
        let width = u64::from(self.to.saturating_sub(self.from));
        let part = done.min(total).saturating_mul(width) / total.max(1);
        observer.progress(self.from.saturating_add(u8::try_from(part).unwrap_or(0)));
        Ok(())
    }
}
