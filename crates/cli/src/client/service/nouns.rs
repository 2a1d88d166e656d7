//! Questions about what a person manages. Nouns with the same shape of answer share a method; which noun
//! it is stands in the path.

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::api::{Credential, Delivery, DeliveryPage, Hook, NewCredential, RotateHook, Task, TaskPage};

use super::{ANSWER, Service};
use crate::client::error::ClientError;

/// Where things of one noun are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Noun {
    Registries,
    Credentials,
    Tasks,
    Hooks,
    Tokens,
    Workers,
}

impl Service {
    /// What is at the noun itself: the list.
    pub(crate) async fn list<T: DeserializeOwned>(&self, noun: Noun) -> Result<T, ClientError> {
        self.json(self.of(noun, Method::GET, &[])).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, noun: Noun, name: &str) -> Result<T, ClientError> {
        self.json(self.of(noun, Method::GET, &[name])).await
    }

    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        noun: Noun,
        new: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.of(noun, Method::POST, &[]).json(new)).await
    }

    /// With a JSON merge patch.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        noun: Noun,
        name: &str,
        patch: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.json(self.of(noun, Method::PATCH, &[name]).json(patch)).await
    }

    pub(crate) async fn delete(&self, noun: Noun, name: &str) -> Result<(), ClientError> {
        self.send(self.of(noun, Method::DELETE, &[name])).await.map(drop)
    }

    pub(crate) async fn put_credential(
        &self,
        name: &str,
        new: &NewCredential,
    ) -> Result<Credential, ClientError> {
        self.json(self.of(Noun::Credentials, Method::PUT, &[name]).json(new)).await
    }

    pub(crate) async fn rotate_hook(&self, name: &str, how: &RotateHook) -> Result<Hook, ClientError> {
        self.json(self.of(Noun::Hooks, Method::POST, &[name, "rotate"]).json(how)).await
    }

    /// Every task, however many pages they take.
    pub(crate) async fn list_tasks(&self) -> Result<Vec<Task>, ClientError> {
        let (mut tasks, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("limit", "200".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let page: TaskPage = self.json(self.of(Noun::Tasks, Method::GET, &[]).query(&query)).await?;
            tasks.extend(page.tasks);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(tasks);
            }
        }
    }

    /// The newest deliveries, at most a page of them.
    pub(crate) async fn list_deliveries(
        &self,
        status: Option<&str>,
        hook: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Delivery>, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(status.map(|status| ("status", status.to_owned())));
        query.extend(hook.map(|hook| ("hook", hook.to_owned())));
        let page: DeliveryPage = self.json(self.quick(Method::GET, &["deliveries"]).query(&query)).await?;
        Ok(page.deliveries)
    }

    pub(crate) async fn get_delivery(&self, id: &str) -> Result<Delivery, ClientError> {
        self.json(self.quick(Method::GET, &["deliveries", id])).await
    }

    pub(crate) async fn replay_delivery(&self, id: &str) -> Result<Delivery, ClientError> {
        self.json(self.quick(Method::POST, &["deliveries", id, "replay"])).await
    }

    fn of(&self, noun: Noun, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        let (noun, of_registry) = match noun {
            Noun::Registries => ("registries", false),
            Noun::Tokens => ("tokens", false),
            Noun::Workers => ("workers", false),
            Noun::Credentials => ("credentials", true),
            Noun::Tasks => ("tasks", true),
            Noun::Hooks => ("hooks", true),
        };
        let path = [&[noun], path].concat();
        match of_registry {
            true => self.quick(method, &path),
            false => self.whole(method, &path).timeout(ANSWER),
        }
    }
}
