//! How the objects within jobs, groups and tasks differ.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::fields::{FieldDiff, Flat, Kind, deep, differences, simple};

/// One object, before and after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the names say it")]
pub struct ObjectDiff {
    pub name: &'static str,
    #[serde(rename = "Type")]
    pub kind: Kind,
    pub fields: Option<Vec<FieldDiff>>,
    pub objects: Option<Vec<ObjectDiff>>,
}

/// Go's empty list is null.
pub(super) fn listed<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn object(name: &'static str, kind: Kind, fields: Vec<FieldDiff>) -> ObjectDiff {
    ObjectDiff {
        name,
        kind,
        fields: listed(fields),
        objects: None,
    }
}

/// What became of an object that is there before, after, or both.
fn fate(old: &Value, new: &Value) -> Kind {
    match (is_nothing(old), is_nothing(new)) {
        (true, false) => Kind::Added,
        (false, true) => Kind::Deleted,
        _ => Kind::Edited,
    }
}

pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// An object of simple fields only: what became of it is what became of them.
pub(super) fn plain(
    name: &'static str,
    old: &Value,
    new: &Value,
    left_out: &[&str],
) -> Option<ObjectDiff> {
    let fields = differences(&simple(old, left_out), &simple(new, left_out), true);
    let has = |kind| fields.iter().any(|field: &FieldDiff| field.kind == kind);
    let kind = match (has(Kind::Edited), has(Kind::Added), has(Kind::Deleted)) {
        (true, ..) | (_, true, true) => Kind::Edited,
        (_, true, _) => Kind::Added,
        (_, _, true) => Kind::Deleted,
        _ => return None,
    };
    Some(object(name, kind, fields))
}

/// An object with others in it.
pub(super) fn compound(
    name: &'static str,
    (old, new): (&Value, &Value),
    left_out: &[&str],
    context: bool,
    inner: impl FnOnce(&Value, &Value) -> Vec<ObjectDiff>,
) -> Option<ObjectDiff> {
    if old == new || (is_nothing(old) && is_nothing(new)) {
        return None;
    }
    let fields = differences(&simple(old, left_out), &simple(new, left_out), context);
    let mut found = object(name, fate(old, new), fields);
    found.objects = listed(inner(old, new));
    Some(found)
}

/// An object of which every value is told by its path.
pub(super) fn whole(
    name: &'static str,
    old: &Value,
    new: &Value,
    context: bool,
) -> Option<ObjectDiff> {
    if old == new || (is_nothing(old) && is_nothing(new)) {
        return None;
    }
    let flat = |value: &Value| match value {
        Value::Null => Flat::new(),
        value => deep(value),
    };
    let fields = differences(&flat(old), &flat(new), context);
    Some(object(name, fate(old, new), fields))
}

/// A set of texts.
pub(super) fn texts(name: &'static str, old: &Value, new: &Value) -> Option<ObjectDiff> {
    let set = |list: &Value| -> BTreeSet<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (old, new) = (set(old), set(new));
    let mut fields: Vec<_> = old
        .union(&new)
        .filter_map(|text| {
            let side = |set: &BTreeSet<String>| set.get(text).cloned().unwrap_or_default();
            FieldDiff::of(name, &side(&old), &side(&new), true)
        })
        .collect();
    fields.sort();
    let has = |kind| fields.iter().any(|field| field.kind == kind);
    let kind = match (has(Kind::Added), has(Kind::Deleted)) {
        (true, true) => Kind::Edited,
        (true, false) => Kind::Added,
        (false, true) => Kind::Deleted,
        (false, false) if fields.is_empty() => return None,
        (false, false) => Kind::None,
    };
    Some(object(name, kind, fields))
}

/// Elements of a list; none of what is no list.
pub(super) fn elements(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Objects without names: one that changed is one less and one more.
pub(super) fn anonymous(
    old: &Value,
    new: &Value,
    tell: impl Fn(&Value, &Value) -> Option<ObjectDiff>,
) -> Vec<ObjectDiff> {
    let (old, new) = (elements(old), elements(new));
    let gone = old.iter().filter(|one| !new.contains(one));
    let came = new.iter().filter(|one| !old.contains(one));
    let gone = gone.filter_map(|one| tell(one, &Value::Null));
    let mut found: Vec<_> = gone
        .chain(came.filter_map(|one| tell(&Value::Null, one)))
        .collect();
    found.sort();
    found
}

/// Objects of a list that are known again: `likeness` is how much two are alike, 0 not at all.
/// Where there is one before and one after, they are the same.
pub(super) fn known_again(
    old: &Value,
    new: &Value,
    likeness: impl Fn((usize, &Value), (usize, &Value)) -> u8,
    tell: impl Fn(&Value, &Value) -> Option<ObjectDiff>,
) -> Vec<ObjectDiff> {
    let (old, new) = (elements(old), elements(new));
    if let ([old], [new]) = (old, new) {
        return tell(old, new).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut taken = BTreeSet::new();
    for (at, one) in old.iter().enumerate() {
        let free = new.iter().enumerate().filter(|(to, _)| !taken.contains(to));
        let best = free
            .map(|(to, other)| (likeness((at, one), (to, other)), std::cmp::Reverse(to)))
            .max()
            .filter(|(likeness, _)| *likeness > 0);
        match best {
            Some((_, std::cmp::Reverse(to))) => {
                taken.insert(to);
                found.extend(tell(one, &new[to]));
            }
            None => found.extend(tell(one, &Value::Null)),
        }
    }
    let came = new.iter().enumerate().filter(|(to, _)| !taken.contains(to));
    found.extend(came.filter_map(|(_, one)| tell(&Value::Null, one)));
    found.sort();
    found
}

/// The same object with fields that Nomad has and that are never set here.
pub(super) fn with(object: &Value, fields: &Value) -> Value {
    let mut all = object.clone();
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        for (name, value) in fields {
            all.entry(name).or_insert_with(|| value.clone());
        }
    }
    all
}

pub(super) fn networks(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    anonymous(old, new, |old, new| {
        compound(
            "Network",
            (old, new),
            &["Device", "IP"],
            true,
            |old, new| {
                let mut found = ports(
                    "Static Port",
                    &old["ReservedPorts"],
                    &new["ReservedPorts"],
                    &[],
                );
                let dynamic = (&old["DynamicPorts"], &new["DynamicPorts"]);
                found.extend(ports("Dynamic Port", dynamic.0, dynamic.1, &["Value"]));
                found
            },
        )
    })
}

fn ports(name: &'static str, old: &Value, new: &Value, left_out: &[&str]) -> Vec<ObjectDiff> {
    by_key(old, new, "Label", |old, new| {
        plain(name, old, new, left_out)
    })
}

/// Objects that a field of theirs names.
fn by_key(
    old: &Value,
    new: &Value,
    key: &str,
    tell: impl Fn(&Value, &Value) -> Option<ObjectDiff>,
) -> Vec<ObjectDiff> {
    let (old, new) = (elements(old), elements(new));
    let named = |list: &[Value], name: &Value| {
        let mut all = list.iter();
        all.find(|one| one[key] == *name)
            .cloned()
            .unwrap_or_default()
    };
    let names = old
        .iter()
        .chain(new.iter().filter(|one| named(old, &one[key]).is_null()));
    let mut found: Vec<_> = names
        .filter_map(|one| tell(&named(old, &one[key]), &named(new, &one[key])))
        .collect();
    found.sort();
    found
}

pub(super) fn services(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    // Name and port say more than the place in the list, but neither is needed.
    let likeness = |(at, one): (usize, &Value), (to, other): (usize, &Value)| {
        let same = |key: &str| one[key] == other[key];
        let score =
            u8::from(at == to) + 2 * u8::from(same("PortLabel")) + 3 * u8::from(same("Name"));
        if score > 2 { score } else { 0 }
    };
    known_again(old, new, likeness, service)
}

fn service(old: &Value, new: &Value) -> Option<ObjectDiff> {
    let unset = json!({ "AddressMode": "auto", "EnableTagOverride": false });
    let (old, new) = (with(old, &unset), with(new, &unset));
    compound("Service", (&old, &new), &[], true, |old, new| {
        let mut found: Vec<_> = texts("Tags", &old["Tags"], &new["Tags"])
            .into_iter()
            .collect();
        found.extend(by_key(&old["Checks"], &new["Checks"], "Name", check));
        found
    })
}

fn check(old: &Value, new: &Value) -> Option<ObjectDiff> {
    let unset = json!({
        "Expose": false, "TLSSkipVerify": false, "GRPCUseTLS": false, "SuccessBeforePassing": 0,
        "FailuresBeforeCritical": 0, "FailuresBeforeWarning": 0,
    });
    let (old, new) = (with(old, &unset), with(new, &unset));
    compound("Check", (&old, &new), &[], true, |old, new| {
        whole("Header", &old["Header"], &new["Header"], true)
            .into_iter()
            .collect()
    })
}

pub(super) fn templates(old: &Value, new: &Value) -> Vec<ObjectDiff> {
    let likeness = |(_, one): (usize, &Value), (_, other): (usize, &Value)| {
        u8::from(one["DestPath"] == other["DestPath"])
    };
    known_again(old, new, likeness, |old, new| {
        let unset = json!({ "VaultGrace": 0, "ErrMissingKey": false });
        let (old, new) = (with(old, &unset), with(new, &unset));
        compound("Template", (&old, &new), &[], true, |_, _| Vec::new())
    })
}
