//! The configuration store: one trait, and SQLite behind it.
