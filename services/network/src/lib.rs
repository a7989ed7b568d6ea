//! Guest ports on bridges, and the host network as declared state.
