//! Switchback: a reverse proxy between a voice provider and two generations of
//! the same voice application.
//!
//! The modules stand in reading order, by ring. A module may use its own ring
//! and the rings above it, never below; `tests/rings.rs` holds us to it.
//! `ARCHITECTURE.md` is the ten-minute tour.

// -- ring 1: words ------------------------------------------------------------
pub mod model;

// -- ring 2: knowing (pure; time is an argument) --------------------------------
pub mod calls;
pub mod document;
pub mod measure;
pub mod protocol;
pub mod rollout;
pub mod rules;
pub mod split;

// -- ring 3: deciding (pure) ------------------------------------------------------
pub mod engine;

// -- ring 4: services ---------------------------------------------------------------
pub mod clock;
pub mod table;
pub mod tally;

// -- ring 5: adapters (they do not know each other) -----------------------------------
pub mod proxy;
