//! What a fault of the new backend costs a caller: every fault, in every protocol, at
//! every moment of a call, in every state of legacy.
//!
//! The real binary stands between two backends that misbehave on request. What must
//! come of it is said by one function, [`expected::expected`]; the table holds the
//! proxy to it, and a few rows written by hand hold the function to it.
//! `SWITCHBACK_BIN` names another binary to be tested, a release for example.

mod backend;
mod calls;
mod case;
mod counts;
mod expected;
mod fault;
mod got;
mod http;
mod lab;

mod breaker;
mod cap;
mod flip;
mod golden;
mod media;
mod table;
