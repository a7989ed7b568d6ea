//! The host itself: its name, its network, what the installer settled; and the answer file.
