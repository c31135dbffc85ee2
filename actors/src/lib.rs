//! The actor graph: state, supervision, coalescing, timers.
