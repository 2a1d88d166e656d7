//! Forms, one way for all: fields in groups, sent to the address that shows them. What the API refuses comes back
//! as the same form with its values, and the problem beside the field that it names. A form without fields asks
//! whether something is to be done that can't be undone. Absent: what any noun is made of.

mod difference;
mod field;
mod slots;
mod values;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use difference::difference;
pub(crate) use field::{Control, Field};
pub(crate) use values::Values;

use super::shell::{Shell, render, render_as};
use crate::App;
use crate::http::auth::Caller;
use crate::http::extract::without_values;
use crate::http::kind;
use crate::http::problem::{Complete, Problem};

/// A form on a page of its own.
#[derive(Debug)]
pub(crate) struct Form {
    title: String,
    /// The link of the frame that is marked.
    place: &'static str,
    /// Where it leads without doing anything: address and name.
    back: (String, String),
    intro: String,
    groups: Vec<Group>,
    /// What it was filled from; empty where there is nothing.
    version: String,
    button: &'static str,
    is_danger: bool,
    wrong: Option<Wrong>,
}

/// Fields that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    /// Empty for what needs none.
    title: String,
    /// Whether it is shut until somebody opens it, or something in it is out of the ordinary.
    is_folded: bool,
    fields: Vec<Field>,
}

/// What was refused.
#[derive(Debug)]
struct Wrong {
    kind: &'static str,
    detail: String,
    hint: String,
    /// Id and label of the field that it is about.
    field: Option<(String, &'static str)>,
}

#[derive(Template)]
#[template(path = "form.html")]
struct Page {
    shell: Shell,
    form: Form,
}

#[derive(Template)]
#[template(path = "shown_once.html")]
struct ShownOnce {
    shell: Shell,
    title: String,
    intro: &'static str,
    /// What is shown, with its name.
    texts: Vec<(&'static str, String)>,
    next: (String, String),
}

impl Form {
    pub(crate) fn new(
        place: &'static str,
        title: impl Into<String>,
        back: (impl Into<String>, impl Into<String>),
        button: &'static str,
    ) -> Self {
        let back = (back.0.into(), back.1.into());
        Self {
            title: title.into(),
            place,
            back,
            intro: String::new(),
            groups: Vec::new(),
            version: String::new(),
            button,
            is_danger: false,
            wrong: None,
        }
    }

    /// Asks before something goes.
    pub(crate) fn confirm(self, intro: impl Into<String>) -> Self {
        Self { is_danger: true, intro: intro.into(), ..self }
    }

    pub(crate) fn intro(self, intro: impl Into<String>) -> Self {
        Self { intro: intro.into(), ..self }
    }

    /// With the version that it was filled from.
    pub(crate) fn of_version(self, version: i32) -> Self {
        Self { version: version.to_string(), ..self }
    }

    pub(crate) fn group(self, title: impl Into<String>, fields: impl IntoIterator<Item = Field>) -> Self {
        self.with(title.into(), false, fields.into_iter().collect())
    }

    pub(crate) fn folded(self, title: impl Into<String>, fields: impl IntoIterator<Item = Field>) -> Self {
        self.with(title.into(), true, fields.into_iter().collect())
    }

    fn with(mut self, title: String, is_folded: bool, fields: Vec<Field>) -> Self {
        self.groups.push(Group { title, is_folded, fields });
        self
    }

    fn fields(&mut self) -> impl Iterator<Item = &mut Field> {
        self.groups.iter_mut().flat_map(|group| &mut group.fields)
    }

    /// With values in its fields.
    pub(crate) fn filled(mut self, values: &Values) -> Self {
        self.fields().for_each(|field| field.fill(values));
        // Once more: a form that comes back is still of the version that it was filled from.
        if let Some(version) = values.optional(VERSION) {
            self.version = version;
        }
        self
    }

    /// As it is shown first.
    pub(crate) async fn ask(mut self, app: &App, caller: Caller) -> Result<Response, Problem> {
        if let Some(field) = self.fields().next() {
            field.has_focus = true;
        }
        let shell = Shell::new(app, caller, self.place).await?;
        render(&Page { shell, form: self })
    }

    /// Once more, with what was refused. What no change of the form would mend is a page of its own.
    pub(crate) async fn refused(
        mut self,
        app: &App,
        caller: Caller,
        problem: Problem,
    ) -> Result<Response, Problem> {
        let field = problem.field().map(str::to_owned);
        let meant = field.and_then(|name| self.fields().find(|field| field.is_meant(&name)));
        let status = problem.kind().status;
        let is_gone =
            matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        if meant.is_none() && is_gone {
            return Err(problem);
        }
        let (detail, hint) = (problem.detail().to_owned(), problem.hint().to_owned());
        let field = meant.map(|field| {
            field.wrong = Some((detail.clone(), hint.clone()));
            field.has_focus = true;
            (field.id(), field.label)
        });
        self.wrong = Some(Wrong { kind: problem.kind().name, detail, hint, field });
        // Where the database is away, nobody should have to write it all again.
        let shell = Shell::new(app, caller.clone(), self.place).await;
        let shell =
            shell.unwrap_or_else(|_| Shell { place: self.place, token: Some(caller), ..Shell::bare() });
        let mut response = render_as(status, &Page { shell, form: self })?;
        response.extensions_mut().insert(Complete);
        Ok(response)
    }
}

impl Group {
    fn is_open(&self) -> bool {
        self.fields.iter().any(Field::is_touched)
    }
}

/// The answer that shows a secret, and is the only one that does.
pub(crate) async fn show_once(
    app: &App,
    caller: Caller,
    place: &'static str,
    title: String,
    intro: &'static str,
    texts: Vec<(&'static str, String)>,
    next: (String, String),
) -> Result<Response, Problem> {
    let shell = Shell::new(app, caller, place).await?;
    render(&ShownOnce { shell, title, intro, texts, next })
}

/// The field that holds the version which a form was filled from.
const VERSION: &str = "version";

/// The same as the API's `If-Match`: nothing is done to what somebody else changed meanwhile.
pub(crate) fn seen(sent: &Values) -> HeaderMap {
    let tag = HeaderValue::from_str(&format!("\"{}\"", sent.line(VERSION)));
    tag.map(|tag| HeaderMap::from_iter([(header::IF_MATCH, tag)])).unwrap_or_default()
}

/// What the API reads, of what a form says.
///
/// # Errors
/// It is not such a thing.
pub(crate) fn read<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(body)).map_err(|error| {
        let said = without_values(&error.to_string());
        Problem::new(&kind::JSON_INVALID, format!("It reads wrong: {said}."), "Mend that field.")
    })
}

/// To the page that shows what was done.
pub(crate) fn done(address: &str) -> Response {
    Redirect::to(address).into_response()
}
