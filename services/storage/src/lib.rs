//! One trait, a driver per storage kind; volumes and content.
