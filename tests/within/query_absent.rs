//! A program without the feature `query` says so.

use crate::support::{ghostlight, output};

#[test]
fn a_query_names_the_feature_that_is_missing() {
    let (is_well, said) = output(ghostlight().args(["query", "SELECT 1", "--data", "out", "--format", "json"]));
    assert!(!is_well && said.contains("built without its feature `query`"), "{said}");
}
