//! Whole-process tests: the real binary, real sockets, real signals, real crashes.
//!
//! Each test starts what it needs for itself (two backends, a state directory, a
//! proxy on free ports), so all of them run side by side and need nothing but
//! Rust. `SWITCHBACK_BIN` names another binary to be tested, a release for example.

mod backend;
mod http;
mod lab;
mod line;
mod sign;

mod affinity;
mod beginning;
mod calls;
mod certificates;
mod claims;
mod crash;
#[cfg(target_os = "linux")]
mod descriptors;
mod events;
mod failures;
mod guards;
mod keys;
mod levels;
mod logs;
mod measures;
mod numbers;
mod orders;
mod plan;
mod proof;
mod recording;
mod reload;
mod repeats;
mod restarting;
mod reversal;
mod stopping;
mod streams;
mod systemd;
mod tables;
mod vapi;
