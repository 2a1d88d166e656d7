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
    merge(&mut value, Value::Object(patch));
    serde_json::from_value(value).map_err(|error| {
        let hint = "The body is a JSON merge patch: fields that are there replace, `null` removes. /openapi.json has the schema.";
        let said = without_values(&error.to_string());
        Problem::new(&kind::JSON_INVALID, format!("With that change it reads wrong: {said}."), hint).in_field("body")
    })
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
    fn another_type_begins_anew() {
        let mut sign_in = json!({"type":"basic","credential":"a"});
        merge(&mut sign_in, json!({"type":"anonymous"}));
        assert_eq!(sign_in, json!({"type":"anonymous"}));
    }
}
