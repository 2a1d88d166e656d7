//! What a form sent, or is filled with: one text by the name of its field. Absent: files, and fields that stand
//! there twice, of which the last counts.

use std::collections::BTreeMap;
use std::fmt;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Request};
use axum::http::StatusCode;

use crate::http::extract::nul;
use crate::http::kind;
use crate::http::problem::Problem;

/// Texts by the names of their fields. Some may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Values(BTreeMap<String, String>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<S: Send + Sync> FromRequest<S> for Values {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Form(sent) = Form::<Vec<(String, String)>>::from_request(request, state).await?;
        if sent.iter().any(|(name, text)| name.contains('\0') || text.contains('\0')) {
            return Err(nul("body"));
        }
        // Browsers end lines as mail does.
        Ok(Self(sent.into_iter().map(|(name, text)| (name, text.replace("\r\n", "\n"))).collect()))
    }
}

impl Values {
    pub(crate) fn set(&mut self, name: impl Into<String>, text: impl Into<String>) {
        self.0.insert(name.into(), text.into());
    }

    pub(crate) fn check(&mut self, name: impl Into<String>, is_checked: bool) {
        self.set(name, if is_checked { "true" } else { "" });
    }

    /// As it was written.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Without the blanks around it.
    pub(crate) fn line(&self, name: &str) -> &str {
        self.text(name).trim()
    }

    /// Absent when it was left empty.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        Some(self.line(name).to_owned()).filter(|text| !text.is_empty())
    }

    pub(crate) fn is_checked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// One thing a line; empty ones count nothing.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        self.text(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// A secret as the command line takes it from a file: a private key keeps its last line end, without which ssh
    /// refuses it.
    pub(crate) fn secret(&self, name: &str) -> String {
        let text = self.text(name);
        let line = text.strip_suffix('\n').unwrap_or(text);
        let is_key = line.contains('\n');
        match is_key {
            true if !text.ends_with('\n') => format!("{text}\n"),
            true => text.to_owned(),
            false => line.to_owned(),
        }
    }

    /// `NAME=value` a line.
    ///
    /// # Errors
    /// A line has no `=`, or a name stands there twice.
    pub(crate) fn pairs(&self, name: &str) -> Result<BTreeMap<String, String>, Problem> {
        let refuse = |detail: String| {
            let hint = "Write one a line: `NAME=value`.";
            Problem::new(&kind::PARAMETER_INVALID, detail, hint).in_field(name)
        };
        let mut pairs = BTreeMap::new();
        for (number, line) in (1..).zip(self.lines(name)) {
            let (key, value) =
                line.split_once('=').ok_or_else(|| refuse(format!("Line {number} has no `=`.")))?;
            if pairs.insert(key.trim_end().to_owned(), value.to_owned()).is_some() {
                return Err(refuse(format!("Line {number} names something a second time.")));
            }
        }
        Ok(pairs)
    }

    /// A whole number that is not negative; absent when it was left empty.
    ///
    /// # Errors
    /// It is something else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>, Problem> {
        let refuse = |_| {
            let hint = "Write digits alone.";
            Problem::new(&kind::PARAMETER_INVALID, "That is no such number.", hint).in_field(name)
        };
        self.optional(name).map(|text| text.parse().map_err(refuse)).transpose()
    }

    /// Takes a field out.
    pub(crate) fn take(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

impl FromIterator<(String, String)> for Values {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(texts: T) -> Self {
        Self(texts.into_iter().collect())
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => &kind::MEDIA_TYPE_UNSUPPORTED,
            StatusCode::PAYLOAD_TOO_LARGE => &kind::BODY_TOO_LARGE,
            _ => &kind::REQUEST_INVALID,
        };
        // Nothing of it is repeated: it may hold a secret.
        Self::new(
            kind,
            "The form can't be read.",
            "Send it from the service's own page; it has a limit of size.",
        )
    }
}
