//! Capabilities: dropped, and out of the bounding set, so that nothing that is started can have them back.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{HardeningError, Step as _};

/// Empties the bounding set. Needs CAP_SETPCAP, so it comes before [`drop_all`].
pub(crate) fn bound_to_nothing() -> Result<(), HardeningError> {
    for capability in CapabilitySet::all() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel that does not know it can't give it either.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(e) => return Err(e).step("emptying the capability bounding set"),
        }
    }
    Ok(())
}

/// Drops every capability of this process.
pub(crate) fn drop_all() -> Result<(), HardeningError> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::clear_ambient_capability_set().step("clearing ambient capabilities")?;
    rustix::thread::set_capabilities(None, sets).step("dropping capabilities")
}
