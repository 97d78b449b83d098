//! The thin layer over system calls that have no safe wrapper.
