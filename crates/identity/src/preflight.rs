//! Whether a push would be let in, before anything is built for it. In: repositories. Out: nothing, or the
//! right that is missing and how it is given. A token that tells its rights is believed; where it tells none, an
//! upload is begun and cancelled (distribution specification, "Pushing blobs"), as kaniko does. Absent: bytes.

use reqwest::header::{CONTENT_LENGTH, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode, Url};

use crate::http::{Answer, said};
use crate::identity::{Identity, key};
use crate::{Access, Authorization, Error, jwt};

impl Identity {
    /// Signs in anew, asks for push on these repositories, and looks whether that is what was given.
    ///
    /// # Errors
    /// As [`Identity::authorization`], or a right is missing.
    pub async fn preflight(&self, repositories: &[&str]) -> Result<(), Error> {
        let scopes: Vec<_> = repositories.iter().map(|repository| (*repository, Access::Push)).collect();
        let authorization = self.fetch(&key(&scopes)).await?;
        let unknown = match &authorization {
            Authorization::Bearer { token, .. } => self.check_rights(token, repositories)?,
            Authorization::Basic { .. } | Authorization::Anonymous => {
                self.check_password(&authorization).await?;
                repositories.to_vec()
            }
        };
        self.try_uploads(&unknown, &authorization).await
    }

    /// The repositories of which the token tells nothing.
    fn check_rights<'a>(&self, token: &str, repositories: &[&'a str]) -> Result<Vec<&'a str>, Error> {
        let Some(claims) = jwt::claims(token) else { return Ok(repositories.to_vec()) };
        let told = |repository: &str| claims.grants(repository, "push");
        let with = |answer: Option<bool>| {
            repositories.iter().copied().filter(|repository| told(repository) == answer).collect::<Vec<_>>()
        };
        match with(Some(false)) {
            missing if missing.is_empty() => Ok(with(None)),
            missing => Err(self.may_not_push(&missing)),
        }
    }

    fn may_not_push(&self, repositories: &[&str]) -> Error {
        Error::MayNotPush {
            host: self.server().host.clone(),
            repositories: repositories.iter().map(|&name| name.to_owned()).collect(),
            hint: self.server().hint().to_owned(),
        }
    }

    async fn check_password(&self, authorization: &Authorization) -> Result<(), Error> {
        let server = self.server();
        let answer =
            server.send(signed(server.http.request(Method::GET, server.at("/v2/")?), authorization)).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(server.denied(said(&answer, &authorization.mask())))
            }
            status if status.is_success() => Ok(()),
            status => Err(server.unreachable(&format!("it answers {status}; is it a registry?"))),
        }
    }

    /// Tries each, so that one answer names all that is missing.
    async fn try_uploads(&self, repositories: &[&str], authorization: &Authorization) -> Result<(), Error> {
        let mut missing = Vec::new();
        for repository in repositories {
            if !self.may_upload(repository, authorization).await? {
                missing.push(*repository);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(self.may_not_push(&missing)) }
    }

    async fn may_upload(&self, repository: &str, authorization: &Authorization) -> Result<bool, Error> {
        let server = self.server();
        let begin = server.at(&format!("/v2/{repository}/blobs/uploads/"))?;
        // Some servers answer 411 to a request that does not say that it has no body.
        let request = server.http.request(Method::POST, begin.clone()).header(CONTENT_LENGTH, 0);
        let answer = server.send(signed(request, authorization)).await?;
        match answer.status {
            StatusCode::ACCEPTED | StatusCode::CREATED => {
                self.cancel(&begin, &answer, authorization).await;
                Ok(true)
            }
            // Some don't say who may push where, but that there is no such place.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(false),
            status if status.is_client_error() => Err(server.denied(said(&answer, &authorization.mask()))),
            status => Err(server.unreachable(&format!("it answers {status} to an upload"))),
        }
    }

    /// An upload that stays does no harm: registries forget those to which nothing comes. An address elsewhere is not
    /// given our authorization.
    async fn cancel(&self, begun: &Url, answer: &Answer, authorization: &Authorization) {
        let server = self.server();
        let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.and_then(|location| begun.join(location).ok());
        let Some(location) = location.filter(|location| location.origin() == begun.origin()) else { return };
        if let Err(error) =
            server.send(signed(server.http.request(Method::DELETE, location), authorization)).await
        {
            tracing::debug!(registry = server.host, %error, "an upload stays begun");
        }
    }
}

fn signed(request: RequestBuilder, authorization: &Authorization) -> RequestBuilder {
    match authorization {
        Authorization::Basic { username, password } => request.basic_auth(username, Some(password)),
        Authorization::Bearer { token, .. } => request.bearer_auth(token),
        Authorization::Anonymous => request,
    }
}
