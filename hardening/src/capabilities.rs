//! Capabilities: dropped, and out of the bounding set, so that nothing that is started can have them back.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::error::{HardeningError, Step as _};

/// What an OCI runtime needs in a user namespace of its own, to set a sandbox up.
pub(crate) const RUNTIME: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::SYS_PTRACE);

/// Leaves only these, in every set.
pub(crate) fn keep(kept: CapabilitySet) -> Result<(), HardeningError> {
    for capability in CapabilitySet::all().difference(kept) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(e) => return Err(e).step("bounding the capabilities"),
        }
    }
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::clear_ambient_capability_set().step("clearing ambient capabilities")?;
    rustix::thread::set_capabilities(None, sets).step("dropping capabilities")
}

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
