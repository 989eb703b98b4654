//! Volumes that outlive clusters. Each is a claim of the namespace, and its labels say whose.

mod lookup;

pub use lookup::{Phase, VolumeClaim, VolumeLookup, find_volume};
