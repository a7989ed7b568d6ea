//! The disk layout, written down once: partitions, slots, names, versions.
