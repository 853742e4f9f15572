//! The life of a request, top to bottom.

pub mod settings;
