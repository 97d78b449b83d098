//! Facts and rules in, a permit or a refusal out. Pure: no input or output, no clock, no async.
