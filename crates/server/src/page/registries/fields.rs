//! A registry as a form: its fields, what they are filled with, and what the API is asked for by them.

use model::{CredentialKind, SignIn};
use serde_json::{Map, Value, json};

use crate::api::{Credential, Registry};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::page::form::{Field, Form, Values};
use crate::page::notify;

/// The words of the sign-ins, and whether they name a credential.
const SIGN_INS: [(&str, &str, bool); 5] = [
    ("anonymous", "nobody", false),
    ("managed_identity", "the machine's managed identity (Azure)", false),
    ("workload_identity", "a workload identity (Azure, Kubernetes)", false),
    ("basic", "a user with a password", true),
    ("service_principal", "a service principal (Azure)", true),
];

/// The fields of one that is to be added: it has no credentials yet.
pub(super) fn new_form(form: Form, values: &Values) -> Form {
    let help =
        "Where a password is needed: add the registry first, keep a credential in it, and change this then.";
    let form = form.group(
        "",
        [Field::line("name", "Name").help("Lower-case letters, digits and -").required(), address(), plain()],
    );
    form.group("Signs in as", sign_in(false, help).into_iter().chain(ids())).filled(values)
}

/// The fields of one that is there.
pub(super) fn form(form: Form, values: &Values, credentials: &[Credential]) -> Form {
    let credential =
        notify::credential("sign_in.credential", "Credential", CredentialKind::Registry, credentials)
            .help("For a password and for a service principal.");
    let form = form.group("", [address(), plain()]);
    let form = form.group("Signs in as", sign_in(true, "").into_iter().chain([credential]).chain(ids()));
    notify::groups(form, values, credentials).filled(values)
}

fn address() -> Field {
    Field::line("address", "Address").help("team.azurecr.io, or registry.example.com:5000").required()
}

fn plain() -> Field {
    Field::check("plain_http", "Over http instead of https")
}

fn sign_in(has_credentials: bool, help: &'static str) -> [Field; 1] {
    let possible = SIGN_INS.into_iter().filter(|(_, _, is_named)| has_credentials || !is_named);
    [Field::choice("sign_in.type", "How", possible.map(|(word, shown, _)| (word, shown))).help(help)]
}

fn ids() -> [Field; 2] {
    [
        Field::line("sign_in.client_id", "Client id")
            .help("Of an identity of Azure's; empty for the machine's own."),
        Field::line("sign_in.tenant_id", "Tenant id").help("For a workload identity or a service principal."),
    ]
}

/// What the form of one that is there is filled with.
pub(super) fn values(registry: &Registry) -> Values {
    let mut values = Values::default();
    values.set("address", &registry.address);
    values.check("plain_http", registry.plain_http);
    let (kind, credential, client, tenant) = match registry.sign_in.clone() {
        SignIn::Anonymous => ("anonymous", None, None, None),
        SignIn::Basic { credential } => ("basic", Some(credential), None, None),
        SignIn::ManagedIdentity { client_id } => ("managed_identity", None, client_id, None),
        SignIn::WorkloadIdentity { tenant_id, client_id } => {
            ("workload_identity", None, client_id, tenant_id)
        }
        SignIn::ServicePrincipal { tenant_id, client_id, credential } => {
            ("service_principal", Some(credential), Some(client_id), Some(tenant_id))
        }
    };
    values.set("sign_in.type", kind);
    values.set("sign_in.credential", credential.unwrap_or_default());
    values.set("sign_in.client_id", client.unwrap_or_default());
    values.set("sign_in.tenant_id", tenant.unwrap_or_default());
    notify::fill(&mut values, &registry.notify);
    values
}

/// All of a registry but its name, as the API takes it. Ids that a sign-in has no use for are left out.
pub(super) fn body(values: &Values) -> Result<Map<String, Value>, Problem> {
    let kind = values.line("sign_in.type");
    let (needed, possible): (&[&str], &[&str]) = match kind {
        "basic" => (&["credential"], &[]),
        "managed_identity" => (&[], &["client_id"]),
        "workload_identity" => (&[], &["client_id", "tenant_id"]),
        "service_principal" => (&["credential", "client_id", "tenant_id"], &[]),
        _ => (&[], &[]),
    };
    let mut sign_in = json!({ "type": kind });
    for name in needed.iter().chain(possible) {
        let field = format!("sign_in.{name}");
        match values.optional(&field) {
            Some(text) => sign_in[*name] = text.into(),
            None if needed.contains(name) => {
                let hint = "Fill it in, or choose another way to sign in.";
                let detail = "That way to sign in needs it.";
                return Err(Problem::new(&kind::REGISTRY_INVALID, detail, hint).in_field(field));
            }
            None => {}
        }
    }
    Ok(Map::from_iter([
        ("address".to_owned(), values.line("address").into()),
        ("plain_http".to_owned(), values.is_checked("plain_http").into()),
        ("sign_in".to_owned(), sign_in),
        ("notify".to_owned(), notify::body(values)),
    ]))
}
