//! `switchback tenant`.

use std::io::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::Client;
use super::{Failure, Reason, change};

pub(super) const HELP: &str = "\
Examples:
  switchback tenant enable clinica-norte --reason \"asked to be first\"
  switchback tenant enable clinica-norte --hotfix --reason \"…\"     outside the plan's windows
  switchback tenant disable clinica-sur --reason \"never, by contract\"
  switchback tenant clear clinica-sur --reason \"their number is mended\"

A tenant that a rollback or a row put on legacy stays there until `clear`. What a tenant is called: \
`switchback explain --tenant ID`.";

/// Which list.
#[derive(Debug, clap::Subcommand)]
pub enum Args {
    /// Always new, whatever the percentage
    #[command(after_help = "\
It is a raise: it waits for the plan's windows, and is refused while latched. A tenant that was rolled \
back is cleared first.

Examples:
  switchback tenant enable clinica-norte --reason \"asked to be first\"
  switchback tenant enable clinica-norte --hotfix --reason \"…\"     outside the plan's windows")]
    Enable(Enable),
    /// Always legacy, whatever else is said
    #[command(after_help = "\
It stays there, whatever the plan does, until `switchback tenant clear ID` or `enable ID`. Where it is \
new that is at fault, `switchback rollback tenant ID` says so, and is not undone by `enable`.

Examples:
  switchback tenant disable clinica-sur --reason \"never, by contract\"
  switchback tenant disable +13125550100 --reason \"never\"           by a key of it")]
    Disable(Tenant),
    /// Off both lists: the hash decides again
    #[command(after_help = "\
Also a tenant that a rollback or a row put on legacy. Where that may bring it to new it is a raise: it \
waits for the plan's windows, and is refused while latched.

Examples:
  switchback tenant clear clinica-sur --reason \"their number is mended\"
  switchback tenant clear clinica-sur --hotfix --reason \"…\"         outside the plan's windows")]
    Clear(Enable),
}

/// Whom to let go to new.
#[derive(Debug, clap::Args)]
pub struct Enable {
    /// Whom and why.
    #[command(flatten)]
    pub tenant: Tenant,
    /// Pass over the plan's windows and freezes; stands in the journal
    #[arg(long)]
    pub hotfix: bool,
}

/// Which tenant, and why.
#[derive(Debug, clap::Args)]
pub struct Tenant {
    /// The tenant's id, or a key of it in the tenant directory
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why.
    #[command(flatten)]
    pub reason: Reason,
}

/// Puts the tenant on a list or takes it off.
pub(super) fn run(args: &Args, client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let (list, tenant, hotfix) = match args {
        Args::Enable(enable) => (Some("enabled"), &enable.tenant, enable.hotfix),
        Args::Disable(tenant) => (Some("disabled"), tenant, false),
        Args::Clear(tenant) => (None, &tenant.tenant, tenant.hotfix),
    };
    let id = utf8_percent_encode(&tenant.id, NON_ALPHANUMERIC);
    let body =
        serde_json::json!({ "list": list, "hotfix": hotfix, "reason": tenant.reason.reason });
    change(client, &format!("/api/v1/tenants/{id}"), &body, out)
}
