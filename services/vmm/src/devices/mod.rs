//! Devices at fixed places: serial port, power management, processors that come and
//! go, reset, watchdog, the port by which a guest says that it panicked; and what firmware needs beside
//! them: its configuration, flash memory, real-time clock, keyboard controller, LPC bridge.

pub mod cpus;
pub mod flash;
pub mod fwcfg;
pub mod i8042;
pub mod lpc;
pub mod pm;
pub mod pvpanic;
pub mod ramfb;
pub mod reset;
pub mod rtc;
pub mod serial;
pub mod smi;
pub mod watchdog;
