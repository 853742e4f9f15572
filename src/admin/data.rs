//! Level 4 and the emergency stop: the two that do not fit the other orders.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::api::{Body, Shared, order};
use super::problem::{Answer, Problem};
use super::request::{self, Plain, Rollback};
use super::{Admin, shapes};
use crate::desk::Backup;
use crate::rollout::{Command, RestoreOrder, Waives};

/// Backups that a refusal names; of the others it gives the number.
const NAMED: usize = 20;

/// The backups there are.
pub(super) async fn backups(State(admin): Shared) -> Answer<Json<shapes::Backups>> {
    let backups = admin.desk.backups().await?;
    let backups = backups.into_iter().map(|backup| shapes::Backup {
        id: backup.id,
        about: backup.about,
    });
    Ok(Json(shapes::Backups {
        backups: backups.collect(),
    }))
}

/// How the restore that runs is doing, or how the last one went.
pub(super) async fn progress(State(admin): Shared) -> Answer<Json<shapes::Restore>> {
    let restore = (admin.restore)();
    restore.map(Json).ok_or_else(|| {
        let detail =
            "no restore was ordered since this process began; the journal knows of earlier ones";
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

/// Begins a restore. What comes of it is told by [`progress`].
pub(super) async fn restore(
    admin: &Admin,
    headers: &HeaderMap,
    body: Rollback,
) -> Answer<Response> {
    let reason = request::text("reason", &body.reason)?;
    let order = RestoreOrder {
        backup: body.backup()?,
        actor: request::actor(headers),
        reason,
    };
    // A slip of the hand must not run a command that drops what is there first.
    is_listed(&order.backup, &admin.desk.backups().await?)?;
    let done = shapes::Done::from(admin.desk.restore(order).await?);
    Ok((StatusCode::ACCEPTED, Json(done)).into_response())
}

/// Is it one of these? If not, the refusal names them.
fn is_listed(backup: &str, listed: &[Backup]) -> Answer<()> {
    if listed.iter().any(|it| it.id == backup) {
        return Ok(());
    }
    let names: Vec<_> = listed.iter().take(NAMED).map(|it| it.id.as_str()).collect();
    let more = listed.len() - names.len();
    let names = match (names.join(", "), more) {
        (none, _) if none.is_empty() => "it lists none".to_owned(),
        (names, 0) => format!("it lists {names}"),
        (names, more) => format!("it lists {names} and {more} more"),
    };
    let detail =
        format!("nothing is restored: the configured command lists no backup {backup}; {names}");
    Err(Problem::new(StatusCode::CONFLICT, detail))
}

/// Everything that begins goes where the configuration says.
pub(super) async fn emergency_stop(
    State(admin): Shared,
    headers: HeaderMap,
    Body(body): Body<Plain>,
) -> Answer<Json<shapes::Done>> {
    let command = Command::EmergencyStop((admin.emergency)());
    order(&admin, &headers, &body.reason, Waives::default(), command).await
}
