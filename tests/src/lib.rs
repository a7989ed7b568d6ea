//! The appliance as a whole, in QEMU: scenarios, real clients, a real browser, faults.
