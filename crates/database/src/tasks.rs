//! Tasks: saved definitions.

use model::{TaskId, TaskSpec};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{json, read};
use crate::{Database, Error};

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub id: TaskId,
    pub registry: String,
    pub name: String,
    pub spec: TaskSpec,
    /// Of the spec, from 1.
    pub version: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// What became of a change.
#[derive(Debug, Clone)]
pub enum Changed {
    Yes(Box<TaskRow>),
    NotFound,
    /// Somebody else changed it first.
    Outdated,
}

struct Row {
    id: Uuid,
    registry: String,
    name: String,
    spec: Value,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for TaskRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, registry, name, spec, version, created_at, updated_at } = row;
        let (id, spec) = (TaskId(id), read("a task's spec", spec)?);
        Ok(Self { id, registry, name, spec, version, created_at, updated_at })
    }
}

impl Database {
    /// Makes a task. None: there is one of that name. `repository` is where its source lies, in the
    /// form that deliveries are matched by.
    ///
    /// # Errors
    /// The name is not allowed, or the database is away.
    pub async fn create_task(
        &self,
        registry: &str,
        name: &str,
        spec: &TaskSpec,
        repository: Option<&str>,
    ) -> Result<Option<TaskRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "INSERT INTO slipway.tasks (id, registry, name, spec, repository) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (registry, name) DO NOTHING
             RETURNING id, registry, name, spec, version, created_at, updated_at",
            Uuid::now_v7(),
            registry,
            name,
            json(spec)?,
            repository
        );
        row.fetch_optional(&self.pool).await?.map(TaskRow::try_from).transpose()
    }

    /// Gives a task another spec, if it still has the version that the change was made from.
    ///
    /// # Errors
    /// The database is away.
    pub async fn update_task(
        &self,
        task: TaskId,
        version: i32,
        spec: &TaskSpec,
        repository: Option<&str>,
    ) -> Result<Changed, Error> {
        let row = sqlx::query_as!(
            Row,
            "UPDATE slipway.tasks SET spec = $3, repository = $4, version = version + 1, updated_at = now()
             WHERE id = $1 AND version = $2
             RETURNING id, registry, name, spec, version, created_at, updated_at",
            task.0,
            version,
            json(spec)?,
            repository
        );
        if let Some(row) = row.fetch_optional(&self.pool).await? {
            return Ok(Changed::Yes(Box::new(row.try_into()?)));
        }
        let there = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM slipway.tasks WHERE id = $1) AS "there!""#,
            task.0
        );
        Ok(if there.fetch_one(&self.pool).await? { Changed::Outdated } else { Changed::NotFound })
    }

    /// The task of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_task(&self, registry: &str, name: &str) -> Result<Option<TaskRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "SELECT id, registry, name, spec, version, created_at, updated_at FROM slipway.tasks
             WHERE registry = $1 AND name = $2",
            registry,
            name
        );
        row.fetch_optional(&self.pool).await?.map(TaskRow::try_from).transpose()
    }

    /// A page of a registry's tasks by name, after the name `after`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_tasks(
        &self,
        registry: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<TaskRow>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT id, registry, name, spec, version, created_at, updated_at FROM slipway.tasks
             WHERE registry = $1 AND ($2::text IS NULL OR name > $2) ORDER BY name LIMIT $3",
            registry,
            after,
            i64::from(limit)
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(TaskRow::try_from).collect()
    }

    /// Tasks of a registry whose source lies in one of these repositories.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tasks_of(&self, registry: &str, repositories: &[String]) -> Result<Vec<TaskRow>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT id, registry, name, spec, version, created_at, updated_at FROM slipway.tasks
             WHERE registry = $1 AND repository = ANY ($2) ORDER BY name",
            registry,
            repositories
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(TaskRow::try_from).collect()
    }

    /// Removes a task; its runs stay. With `seen`, if it still has that version. False: it has not, or is gone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_task(&self, task: TaskId, seen: Option<i32>) -> Result<bool, Error> {
        let gone = sqlx::query!(
            "DELETE FROM slipway.tasks WHERE id = $1 AND ($2::integer IS NULL OR version = $2)",
            task.0,
            seen
        );
        Ok(gone.execute(&self.pool).await?.rows_affected() == 1)
    }
}
