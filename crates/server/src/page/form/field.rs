//! One field of a form. Its name is the API's own (`build.images`, `notify[0].url`), so that what a problem says
//! of a field stands beside it. Absent: the value of a secret, which is never written into a page.

use super::values::Values;

/// One field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: &'static str,
    /// What to write, in a few words; may be empty.
    pub(crate) help: &'static str,
    pub(crate) control: Control,
    pub(crate) value: String,
    /// Its value when nobody has touched it.
    usual: String,
    pub(crate) is_required: bool,
    /// What was wrong with it, and what to do.
    pub(crate) wrong: Option<(String, String)>,
    pub(crate) has_focus: bool,
}

/// How it is filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Line,
    Number,
    /// Several lines of text.
    Lines,
    /// A line that is not shown.
    Secret,
    /// Several lines that are not sent back.
    SecretLines,
    /// Values with their words.
    Choice(Vec<(String, String)>),
    Check,
}

impl Field {
    fn new(name: impl Into<String>, label: &'static str, control: Control) -> Self {
        let (value, usual) = (String::new(), String::new());
        Self {
            name: name.into(),
            label,
            help: "",
            control,
            value,
            usual,
            is_required: false,
            wrong: None,
            has_focus: false,
        }
    }

    pub(crate) fn line(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::Line)
    }

    pub(crate) fn number(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::Number)
    }

    pub(crate) fn lines(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::Lines)
    }

    pub(crate) fn secret(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::Secret)
    }

    pub(crate) fn secret_lines(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::SecretLines)
    }

    pub(crate) fn check(name: impl Into<String>, label: &'static str) -> Self {
        Self::new(name, label, Control::Check)
    }

    pub(crate) fn choice(
        name: impl Into<String>,
        label: &'static str,
        choices: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let choices = choices.into_iter().map(|(value, shown)| (value.into(), shown.into())).collect();
        Self::new(name, label, Control::Choice(choices))
    }

    pub(crate) fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    pub(crate) fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    /// What it holds where nobody has filled it in.
    pub(crate) fn usual(self, usual: &str) -> Self {
        Self { value: usual.to_owned(), usual: usual.to_owned(), ..self }
    }

    /// Takes its value. One that is none of the choices becomes one, so that saving changes nothing unseen.
    pub(super) fn fill(&mut self, values: &Values) {
        if matches!(self.control, Control::Secret | Control::SecretLines) {
            return;
        }
        let text = values.text(&self.name);
        // Nor is one that somebody wrote into an address.
        self.value = if holds_password(text) { String::new() } else { text.to_owned() };
        if let Control::Choice(choices) = &mut self.control
            && !choices.iter().any(|(value, _)| *value == self.value)
        {
            choices.push((self.value.clone(), self.value.clone()));
        }
    }

    /// Whether a problem's field is this one: itself, a part of it, or what it is a part of.
    pub(super) fn is_meant(&self, field: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        within(field, &self.name) || within(&self.name, field)
    }

    pub(super) fn is_touched(&self) -> bool {
        self.value != self.usual || self.wrong.is_some()
    }

    /// For `for`, `aria-describedby` and links.
    pub(crate) fn id(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        format!("f-{}", self.name.chars().map(plain).collect::<String>())
    }

    /// The ids of what explains it.
    pub(crate) fn described_by(&self) -> String {
        let id = self.id();
        let help = (!self.help.is_empty()).then(|| format!("{id}-help"));
        let wrong = self.wrong.as_ref().map(|_| format!("{id}-wrong"));
        help.into_iter().chain(wrong).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn is_check(&self) -> bool {
        self.control == Control::Check
    }

    pub(crate) fn is_checked(&self) -> bool {
        !self.value.is_empty()
    }

    pub(crate) fn has(&self, value: &str) -> bool {
        self.value == value
    }

    /// Rows of a text that has several lines.
    pub(crate) fn rows(&self) -> usize {
        (self.value.lines().count() + 1).clamp(2, 12)
    }
}

/// Whether an address in the text has a user and a password in it.
fn holds_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '#', '?', '\n']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    })
}
