//! The order of pushes to one ref. In: what a delivered push says. Out: whether it is the newest, by the chain of
//! commits that the host tells. Absent: git itself, so that of two pushes that no others connect the order is that
//! in which they arrived.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::Error;

/// A push to a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The same for every push to this ref of this repository, and for no other.
    pub lane: [u8; 32],
    /// Absent: the ref was not there, or the sender does not tell.
    pub before: Option<String>,
    /// Absent: it was deleted.
    pub after: Option<String>,
    /// What is said of it when a later one was delivered before: of the delivery, and of each task.
    pub late: (String, String),
}

/// What a push was to its ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) is_late: bool,
    /// How often the ref went this way, from 1.
    pub(crate) round: i32,
}

/// The turn of a push that is being worked off, kept with its delivery. Pushes to one ref are looked at one after the
/// other. What is replayed is not late: somebody wants it.
pub(crate) async fn take_turn(
    connection: &mut PgConnection,
    hook: Uuid,
    delivery: Uuid,
    push: &Pushed,
) -> Result<Turn, Error> {
    let lock = i64::from_be_bytes(push.lane[..8].try_into().unwrap_or_default());
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", lock).execute(&mut *connection).await?;
    let known = sqlx::query_scalar!("SELECT round FROM slipway.deliveries WHERE id = $1", delivery);
    if let Some(round) = known.fetch_one(&mut *connection).await? {
        return Ok(Turn { is_late: false, round });
    }
    // Told apart by an index, which null is not.
    let [before, after] = [&push.before, &push.after].map(|commit| commit.as_deref().unwrap_or_default());
    let seen = sqlx::query!(
        r#"SELECT
             (SELECT count(*) FROM slipway.deliveries WHERE hook_id = $1 AND lane = $2 AND place IS NOT NULL
                 AND before = $3 AND after = $4)::integer AS "times!",
             EXISTS (SELECT FROM slipway.deliveries WHERE hook_id = $1 AND lane = $2 AND before = $4 AND $4 <> '')
                 AS "is_left!""#,
        hook,
        &push.lane,
        before,
        after
    );
    let seen = seen.fetch_one(&mut *connection).await?;
    let head = sqlx::query!(
        r#"SELECT before AS "before!", after AS "after!", place AS "place!" FROM slipway.deliveries
           WHERE hook_id = $1 AND lane = $2 AND place IS NOT NULL ORDER BY place DESC LIMIT 1"#,
        hook,
        &push.lane
    );
    let head = head.fetch_optional(&mut *connection).await?;
    let place = head.as_ref().map_or(1, |head| head.place + 1);
    let (continues, repeats) = match &head {
        Some(head) => (head.after == before, (&*head.before, &*head.after) == (before, after)),
        None => (false, false),
    };
    let (is_late, place, round) = match (continues, repeats) {
        // Also a return to a commit that was left before.
        (true, _) => (false, Some(place), seen.times + 1),
        // The same push once more, under another id.
        (_, true) => (false, None, seen.times.max(1)),
        _ if seen.is_left => (true, None, seen.times.max(1)),
        _ => (false, Some(place), 1),
    };
    sqlx::query!(
        "UPDATE slipway.deliveries SET lane = $2, before = $3, after = $4, place = $5, round = $6 WHERE id = $1",
        delivery,
        &push.lane,
        before,
        after,
        place,
        round
    )
    .execute(connection)
    .await?;
    Ok(Turn { is_late, round })
}
