//! JSON merge patches (RFC 7396) of typed things.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::http::extract::without_values;
use crate::http::kind;
use crate::http::problem::Problem;

/// `before` with a patch applied.
///
/// # Errors
/// What comes out is not such a thing.
pub(crate) fn patched<T: Serialize + DeserializeOwned>(
    before: &T,
    patch: Map<String, Value>,
) -> Result<T, Problem> {
    let internal = |error: serde_json::Error| Problem::new(&kind::INTERNAL, error.to_string(), "");
    let mut value = serde_json::to_value(before).map_err(internal)?;
    let refuse = |error: serde_json::Error| {
        let hint = "Fields that are named replace, and `null` removes, as `--clear` does. By REST it is a JSON merge patch; /openapi.json has the schema.";
        let said = without_values(&error.to_string());
        Problem::new(&kind::JSON_INVALID, format!("With that change it reads wrong: {said}."), hint)
            .in_field("body")
    };
    let mut removed = Vec::new();
    nulls(&patch, &mut Vec::new(), &mut removed);
    merge(&mut value, Value::Object(patch));
    for path in removed.iter().take(MOST) {
        if let Some(error) = unknown::<T>(&value, path) {
            return Err(refuse(error));
        }
    }
    serde_json::from_value(value).map_err(refuse)
}

/// Nulls of a patch that are looked at one by one.
const MOST: usize = 100;

/// Where a patch says null.
fn nulls(patch: &Map<String, Value>, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (name, value) in patch {
        path.push(name.clone());
        match value {
            Value::Null => found.push(path.clone()),
            Value::Object(inner) => nulls(inner, path, found),
            _ => {}
        }
        path.pop();
    }
}

/// Whether a thing has no such field at all, so that removing it is a slip of the pen: as a null it would be read
/// as an unknown one. What the other variants of a tagged thing have may be removed.
fn unknown<T: DeserializeOwned>(value: &Value, path: &[String]) -> Option<serde_json::Error> {
    let mut value = value.clone();
    let (name, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(&mut value, |parent, name| parent.get_mut(name))?.as_object_mut()?;
    if parent.contains_key("type") {
        return None;
    }
    parent.insert(name.clone(), Value::Null);
    serde_json::from_value::<T>(value).err().filter(|error| error.to_string().starts_with("unknown field"))
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    // Variants of a tagged thing do not share their fields.
    let other_type = patch.get("type").is_some_and(|new| target.get("type").is_some_and(|old| old != new));
    if !target.is_object() || other_type {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(&name)),
            value => merge(target.entry(name).or_insert(Value::Null), value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, patch.clone());
            assert_eq!(merged, result, "{target} {patch}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_removed_in_silence() {
        let before = crate::api::HookPatch { repositories: Some(vec!["https://git.example/a".to_owned()]) };
        let patch = |value: Value| patched(&before, value.as_object().cloned().unwrap_or_default());
        assert!(patch(json!({ "repos": null })).is_err());
        assert_eq!(patch(json!({ "repositories": null })).ok().and_then(|after| after.repositories), None);
        assert!(patch(json!({})).ok().and_then(|after| after.repositories).is_some());
    }

    #[test]
    fn another_type_begins_anew() {
        let mut sign_in = json!({"type":"basic","credential":"a"});
        merge(&mut sign_in, json!({"type":"anonymous"}));
        assert_eq!(sign_in, json!({"type":"anonymous"}));
    }
}
