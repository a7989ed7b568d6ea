//! A VM's life: config to machine to unit.
