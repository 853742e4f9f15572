//! Switchback: a reverse proxy between a voice provider and two generations of
//! the same voice application. It splits calls between them, answers with legacy what new
//! fails, goes on by a plan as its evidence allows, and takes everything back to legacy when
//! a row of the reversal table says so.
//!
//! The modules stand in reading order, by ring. A module may use its own ring
//! and the rings above it, never below; `tests/rings.rs` holds us to it.
//! `ARCHITECTURE.md` is the ten-minute tour.

// -- ring 1: words ------------------------------------------------------------
pub mod model;

// -- ring 2: knowing (pure; time is an argument) --------------------------------
pub mod protocol;

pub mod document;

pub mod split;

pub mod calls;

pub mod breaker;

pub mod health;

pub mod measure;

pub mod rules;

pub mod rollout;

// -- ring 3: deciding (pure) ------------------------------------------------------
pub mod engine;

// -- ring 4: services ---------------------------------------------------------------
pub mod clock;

pub mod metrics;

pub mod tally;

pub mod table;

pub mod gate;

pub mod trust;

pub mod desk;

// A JSON told to an address outside; who tells it is the hooks' business.
pub mod post;

// -- ring 5: adapters (they do not know each other) -----------------------------------
pub mod journal;

pub mod proxy;

pub mod admin;

// Programs and addresses told or asked at the moments of a rollout; data restored.
pub mod hooks;

// What the tables judged, kept so that other tables can judge it again.
pub mod recording;

// -- ring 6: wiring -------------------------------------------------------------------
pub mod config;

// Whole plans and tables played in simulated time, by made-up callers.
pub mod rehearsal;

pub mod serve;

pub mod terminal;

pub mod demo;

pub mod cli;
