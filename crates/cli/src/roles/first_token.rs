//! The first administrator's token, without which nobody could make another. Both `slipway up` and
//! `slipway migrate` make it, once.

use std::path::Path;

use database::{Database, NewToken};
use model::Role;
use vault::Token;

use crate::up::layout::write_own_secret;

/// Makes it, unless there is an administrator; kept in a file that only whoever started this can read.
pub(crate) async fn first_token(database: &Database, file: &Path) -> anyhow::Result<Option<vault::Secret>> {
    if database.has_administrator().await? {
        return Ok(None);
    }
    let token =
        Token::random().map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let new = NewToken {
        name: "first administrator".to_owned(),
        hash: token.hash,
        shown: token.shown.clone(),
        role: Role::Administrator,
        registry: None,
        created_by: None,
        expires_in_seconds: None,
    };
    // The file first: a token that nobody has would keep the next call from making another.
    write_own_secret(file, token.text.expose())?;
    database.create_token(&new).await?;
    Ok(Some(token.text))
}
