//! Whether a push would be let in, before anything is built for it. In: repositories. Out: nothing, or the
//! right that is missing and how it is given. Absent: anything that writes to the registry.

use reqwest::StatusCode;

use crate::http::said;
use crate::identity::{Identity, key};
use crate::{Access, Authorization, Error, jwt};

impl Identity {
    /// Signs in anew, asks for push on these repositories, and looks whether that is what was given. A token
    /// that is no JWT says nothing about it; with user and password alone, only these are checked.
    ///
    /// # Errors
    /// As [`Identity::authorization`], or a right is missing.
    pub async fn preflight(&self, repositories: &[&str]) -> Result<(), Error> {
        let scopes: Vec<_> = repositories.iter().map(|repository| (*repository, Access::Push)).collect();
        match self.fetch(&key(&scopes)).await? {
            Authorization::Bearer { token, .. } => self.check_rights(&token, repositories),
            plain => self.check_password(&plain).await,
        }
    }

    fn check_rights(&self, token: &str, repositories: &[&str]) -> Result<(), Error> {
        let Some(claims) = jwt::claims(token) else { return Ok(()) };
        let lacks = |repository: &&&str| claims.grants(repository, "push") == Some(false);
        let missing: Vec<String> = repositories.iter().filter(lacks).map(|&name| name.to_owned()).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::MayNotPush {
                host: self.server().host.clone(),
                repositories: missing,
                hint: self.server().hint().to_owned(),
            }),
        }
    }

    async fn check_password(&self, authorization: &Authorization) -> Result<(), Error> {
        let server = self.server();
        let request = server.http.get(server.at("/v2/")?);
        let request = match authorization {
            Authorization::Basic { username, password } => request.basic_auth(username, Some(password)),
            _ => request,
        };
        let answer = server.send(request).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(server.denied(said(&answer))),
            status if status.is_success() => Ok(()),
            status => Err(server.unreachable(&format!("it answers {status}; is it a registry?"))),
        }
    }
}
