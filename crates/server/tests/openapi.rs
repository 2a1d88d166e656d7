//! openapi.yaml at the top of the repository is what the routes say about themselves.

use std::path::Path;

#[test]
fn openapi_yaml_is_fresh() {
    let written = server::document().to_yaml().expect("the document can be written");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.yaml");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &written).expect("openapi.yaml can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == written, "openapi.yaml is not what the routes say: run `make openapi` and commit it");
}
