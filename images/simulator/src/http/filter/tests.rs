//! Laws of filter expressions.

use serde_json::{Value, json};

use super::Filter;

fn node() -> Value {
    json!({
        "Name": "client-1",
        "Status": "ready",
        "Drain": false,
        "CreateIndex": 7,
        "Datacenters": ["dc1", "dc2"],
        "Meta": { "rack": "r1", "a.b": "c" },
        "Nothing": null,
        "Empty": [],
    })
}

fn accepts(text: &str) -> bool {
    Filter::new(text)
        .and_then(|filter| filter.accepts(&node()))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_operator_has_its_meaning_and_its_negation() {
    for (yes, no) in [
        (r#"Status == "ready""#, r#"Status != "ready""#),
        ("Status == ready", "Status == down"),
        ("Drain == false", "Drain == true"),
        ("CreateIndex == 7", "CreateIndex != 7"),
        (r#""dc1" in Datacenters"#, r#""dc1" not in Datacenters"#),
        ("Datacenters contains dc2", "Datacenters not contains dc2"),
        (r#"Name contains "ent-""#, r#""x" in Name"#),
        ("rack in Meta", "shelf in Meta"),
        ("Empty is empty", "Empty is not empty"),
        ("Nothing is empty", "Name is empty"),
        (r#"Name matches "^client-[0-9]$""#, "Name not matches `^c`"),
        ("Meta.rack == r1", "Meta.rack == r2"),
        (r#"Meta["a.b"] == "c""#, r#"Meta["a.b"] != "c""#),
        (r#""/Meta/rack" == "r1""#, r#""/Meta/rack" == "r2""#),
    ] {
        assert!(accepts(yes), "{yes}");
        assert!(!accepts(no), "{no}");
    }
}

#[test]
fn a_key_that_a_map_lacks_equals_nothing() {
    assert!(!accepts("Meta.shelf == s1"));
    assert!(accepts("Meta.shelf != s1"));
    assert!(accepts("Meta.shelf is empty"));
}

#[test]
fn and_binds_closer_than_or_and_brackets_closest() {
    assert!(accepts(
        "Drain == true and Drain == true or Status == ready"
    ));
    assert!(!accepts(
        "Drain == true and (Drain == true or Status == ready)"
    ));
    assert!(accepts("not Drain == true and not (Status == down)"));
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (text, place) in [
        ("Status", "1:7 (6)"),
        ("Status == ", "1:11 (10)"),
        ("Status = ready", "1:8 (7)"),
        ("(Status == ready", "1:17 (16)"),
        ("Status == ready Drain == true", "1:17 (16)"),
        (r#"Name == "x"#, "1:9 (8)"),
        ("Name matches `(`", "1:17 (16)"),
        ("any Datacenters as d { d == dc1 }", "1:22 (21)"),
    ] {
        let error = Filter::new(text).unwrap_err().to_string();
        assert!(error.starts_with(place), "{text}: {error}");
    }
    let deep = "(".repeat(5000);
    assert!(Filter::new(&deep).is_err());
}

#[test]
fn an_unknown_field_and_a_wrong_kind_are_errors() {
    for text in [
        "Colour == red",
        "Drain == maybe",
        "CreateIndex == x",
        "Drain matches x",
    ] {
        let filter = Filter::new(text).unwrap();
        assert!(filter.accepts(&node()).is_err(), "{text}");
    }
}
