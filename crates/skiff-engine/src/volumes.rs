//! Volumes that outlive clusters. Each is a claim of the namespace, and its labels say whose.

mod apply;
mod claim;
mod delete;
mod error;
mod list;
mod lookup;
mod usage;

pub(crate) use apply::is_default;
pub use apply::{VolumeChange, VolumePlan, apply_volume, plan_volume};
pub use delete::{VolumesToDelete, delete_volume};
pub use error::VolumeError;
pub use list::{VolumeState, VolumeStatus, list_volumes};
pub use lookup::{Phase, VolumeClaim, VolumeLookup, find_volume};
