//! The public edge as a provider and two backends see it: one worker on a thread,
//! real sockets, backends that misbehave, and everything accounted for exactly once.
//!
//! No process is started and no file is read, so a test may change any setting and
//! look at what was counted; what needs the whole binary is in `tests/process`.
//! First come what the tests share (the proxy, its backends, the bytes and frames
//! between them), then webhooks, then websockets, then all of it
//! through TLS.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod backend;
mod http;
mod lab;
mod socket;

mod answers;
mod connections;
mod failures;
mod placing;
mod refusals;
mod rescue;
mod slow;
mod stopped;
mod tokens;

mod handshakes;
mod stream_ends;
mod streams;

mod certificates;
mod http2;
mod tls;
mod tls_backends;
