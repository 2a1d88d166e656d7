//! The pool that every statement goes through: none waits for its answer without limit. PostgreSQL cuts a statement
//! that takes long; a line whose other end is gone without a word, and a server that stands still, cut nothing.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Either, Execute, Executor, PgPool, PgTransaction, Postgres, SqlStr};

use crate::Error;

/// Connections of one process.
const CONNECTIONS: u32 = 16;

/// How long PostgreSQL is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a free connection that works.
    pub(crate) acquire: Duration,
    /// For a statement's whole answer, or a transaction's.
    pub(crate) answer: Duration,
    /// For a word of a connection that nobody uses.
    pub(crate) ping: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        // PostgreSQL itself ends a statement after 30 seconds.
        Self {
            acquire: Duration::from_secs(5),
            answer: Duration::from_secs(35),
            ping: Duration::from_secs(5),
        }
    }
}

/// Connections as one role. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pool: PgPool,
    patience: Patience,
}

impl Pool {
    /// Connections are made when they are needed.
    pub(crate) fn new(options: PgConnectOptions, patience: Patience) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(patience.acquire)
            .after_release(move |connection, _| {
                // One that carried a large delivery would keep its room for good.
                connection.shrink_buffers();
                // Whoever used it may have stopped waiting: a dead one must not keep its place in the pool.
                Box::pin(within(patience.ping, async { connection.ping().await.map(|()| true) }))
            });
        Self { pool: pool.connect_lazy_with(options), patience }
    }

    /// The connections, for a listener, which has a limit of its own.
    pub(crate) fn connections(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// For what is done [`Self::whole`].
    pub(crate) async fn begin(&self) -> Result<PgTransaction<'static>, sqlx::Error> {
        self.pool.begin().await
    }

    /// A transaction's work, from its beginning to its commit. Cut, it is rolled back.
    pub(crate) async fn whole<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.patience.answer, work).await.unwrap_or_else(|_| Err(silent().into()))
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    /// The rows are gathered first: whoever reads them has all the time.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let gathered =
            within(self.patience.answer, async move { self.pool.fetch_many(query).try_collect().await });
        gathered.map_ok(|all: Vec<_>| stream::iter(all.into_iter().map(Ok))).try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(within(self.patience.answer, self.pool.fetch_optional(query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(within(self.patience.answer, self.pool.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(within(self.patience.answer, self.pool.describe(sql)))
    }
}

/// What `ask` answers in time.
pub(crate) async fn within<T>(
    limit: Duration,
    ask: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"))
}

#[cfg(test)]
mod tests;
