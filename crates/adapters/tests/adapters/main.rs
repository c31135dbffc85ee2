//! Tests of the adapters from outside, one suite for each port, run against every implementation.

mod stores;
