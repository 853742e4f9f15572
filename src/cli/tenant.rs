//! `switchback tenant`.

use std::io::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::Client;
use super::{Failure, Reason, change};

/// Which list.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Always new, whatever the percentage
    Enable(Tenant),
    /// Always legacy, whatever else is said
    Disable(Tenant),
    /// Off both lists: the hash decides again
    Clear(Tenant),
}

/// Which tenant, and why.
#[derive(Debug, clap::Args)]
pub struct Tenant {
    /// The tenant's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Puts the tenant on a list or takes it off.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let (list, tenant) = match args {
        Args::Enable(tenant) => (Some("enabled"), tenant),
        Args::Disable(tenant) => (Some("disabled"), tenant),
        Args::Clear(tenant) => (None, tenant),
    };
    let id = utf8_percent_encode(&tenant.id, NON_ALPHANUMERIC);
    let body = serde_json::json!({ "list": list, "reason": tenant.reason.reason });
    change(client, &format!("/api/v1/tenants/{id}"), &body, out)
}
