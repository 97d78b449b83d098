//! The launcher, the rooms' lockdown, and the sandbox's OCI bundle.
