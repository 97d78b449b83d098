//! The house, tried as a whole, on its real binaries.
