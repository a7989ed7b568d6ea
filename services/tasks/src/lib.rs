//! Long work: UPIDs, logs, progress, cancel, restart-safe.
