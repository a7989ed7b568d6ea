//! Update bundles, slots, roll-back.
