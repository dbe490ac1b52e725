//! The operands of constraints and affinities.

use std::cmp::Ordering;

use crate::types::Node;

/// The value that a target means on a node: `${attr.x}`, `${meta.x}`, `${node.x}`, or itself.
/// `None` where the node has no such value.
pub(super) fn resolve<'a>(target: &'a str, node: &'a Node) -> Option<&'a str> {
    let Some(reference) = target.strip_prefix("${").and_then(|t| t.strip_suffix('}')) else {
        return Some(target);
    };
    match reference {
        "node.unique.id" => Some(&node.id),
        "node.unique.name" => Some(&node.name),
        "node.datacenter" => Some(&node.datacenter),
        "node.class" => Some(&node.node_class),
        "node.pool" => Some(&node.node_pool),
        _ => {
            if let Some(name) = reference.strip_prefix("attr.") {
                return node.attributes.get(name).map(String::as_str);
            }
            let name = reference.strip_prefix("meta.")?;
            node.meta.get(name).map(String::as_str)
        }
    }
}

/// Whether `left operand right` holds. Absent values fail all but `is_not_set` and `!=`.
pub(super) fn holds(left: Option<&str>, operand: &str, right: Option<&str>) -> bool {
    match operand {
        "is_set" => return left.is_some(),
        "is_not_set" => return left.is_none(),
        "!=" | "not" => return left != right,
        _ => {}
    }
    let (Some(left), Some(right)) = (left, right) else {
        return false;
    };
    match operand {
        "=" | "==" | "is" => left == right,
        "<" => compare(left, right) == Ordering::Less,
        "<=" => compare(left, right) != Ordering::Greater,
        ">" => compare(left, right) == Ordering::Greater,
        ">=" => compare(left, right) != Ordering::Less,
        "regexp" => regex::Regex::new(right).is_ok_and(|pattern| pattern.is_match(left)),
        "version" => version_matches(left, right, false),
        "semver" => version_matches(left, right, true),
        "set_contains" | "set_contains_all" => {
            let have: Vec<&str> = left.split(',').map(str::trim).collect();
            right.split(',').all(|wanted| have.contains(&wanted.trim()))
        }
        "set_contains_any" => {
            let have: Vec<&str> = left.split(',').map(str::trim).collect();
            right.split(',').any(|wanted| have.contains(&wanted.trim()))
        }
        _ => false,
    }
}

/// Numbers compare as numbers (from Nomad 1.4 on), other texts by their characters.
fn compare(left: &str, right: &str) -> Ordering {
    if let (Ok(a), Ok(b)) = (left.parse::<i64>(), right.parse::<i64>()) {
        return a.cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (left.parse::<f64>(), right.parse::<f64>()) {
        return a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    }
    left.cmp(right)
}

/// A version: its numbers, and the prerelease after `-`.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    numbers: Vec<u64>,
    prerelease: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next()?;
        let (numbers, prerelease) = text.split_once('-').unwrap_or((text, ""));
        let numbers: Option<Vec<u64>> = numbers.split('.').map(|n| n.parse().ok()).collect();
        Some(Self {
            numbers: numbers?,
            prerelease,
        })
    }

    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        for i in 0..longest {
            let order = self.number(i).cmp(&other.number(i));
            if order != Ordering::Equal {
                return order;
            }
        }
        match (self.prerelease, other.prerelease) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (a, b) => prerelease_order(a, b),
        }
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Dot by dot: numbers before texts, numbers by value.
fn prerelease_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether a version satisfies a list like `>= 1.1, < 2.0`.
///
/// `version` lets a prerelease satisfy only a condition that names a prerelease of the same
/// numbers; `semver` orders prereleases as Semantic Versioning does, and has no `~>`.
fn version_matches(have: &str, conditions: &str, semver: bool) -> bool {
    let Some(have) = Version::parse(have) else {
        return false;
    };
    conditions.split(',').all(|condition| {
        let condition = condition.trim();
        let at = condition
            .find(|c: char| c.is_ascii_digit() || c == 'v')
            .unwrap_or(condition.len());
        let (operand, text) = condition.split_at(at);
        let Some(want) = Version::parse(text) else {
            return false;
        };
        satisfies(&have, operand.trim(), &want, semver)
    })
}

fn satisfies(have: &Version<'_>, operand: &str, want: &Version<'_>, semver: bool) -> bool {
    if !semver && !have.prerelease.is_empty() && !matches!(operand, "" | "=" | "!=") {
        let same_numbers = (0..3).all(|i| have.number(i) == want.number(i));
        if want.prerelease.is_empty() || !same_numbers {
            return false;
        }
    }
    let order = have.cmp(want);
    match operand {
        "" | "=" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        // Pessimistic: all but the last given number are fixed.
        "~>" if !semver => {
            let fixed = want.numbers.len().saturating_sub(1);
            order != Ordering::Less && (0..fixed).all(|i| have.number(i) == want.number(i))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_hold_as_in_nomad() {
        for (left, operand, right, expected) in [
            ("linux", "=", "linux", true),
            ("linux", "!=", "linux", false),
            ("10", ">", "9", true),
            ("10.5", ">=", "10.25", true),
            ("b", ">", "a", true),
            ("a,b,c", "set_contains", "a, c", true),
            ("a,b,c", "set_contains_any", "x,c", true),
            ("a,b,c", "set_contains_all", "x,c", false),
            ("amd64", "regexp", "^(amd|arm)64$", true),
            ("1.8.3", "version", ">= 1.1, < 2.0", true),
            ("1.8.3", "version", "~> 1.8.0", true),
            ("1.9.0", "version", "~> 1.8.0", false),
            ("1.9.0", "version", "~> 1.8", true),
            ("1.8.0-beta1", "version", ">= 1.7", false),
            ("1.8.0-beta1", "semver", ">= 1.7", true),
            ("1.8.0-beta1", "semver", ">= 1.8.0", false),
            ("1.8.0-beta.2", "semver", "> 1.8.0-beta.1", true),
            ("v1.8.3+ent", "version", "= 1.8.3", true),
            ("nonsense", "version", ">= 0", false),
        ] {
            let found = holds(Some(left), operand, Some(right));
            assert_eq!(found, expected, "{left} {operand} {right}");
        }
    }

    #[test]
    fn an_absent_value_satisfies_only_its_absence() {
        for operand in [
            "=",
            "<",
            ">=",
            "regexp",
            "version",
            "set_contains",
            "is_set",
        ] {
            assert!(!holds(None, operand, Some("1")), "{operand}");
        }
        assert!(holds(None, "is_not_set", None));
        assert!(holds(None, "!=", Some("1")));
    }

    #[test]
    fn targets_are_looked_up_on_the_node() {
        let mut node = Node {
            name: "client-1".to_owned(),
            ..Node::default()
        };
        node.attributes
            .insert("kernel.name".to_owned(), "linux".to_owned());
        node.meta.insert("rack".to_owned(), "r1".to_owned());
        assert_eq!(resolve("${attr.kernel.name}", &node), Some("linux"));
        assert_eq!(resolve("${meta.rack}", &node), Some("r1"));
        assert_eq!(resolve("${node.unique.name}", &node), Some("client-1"));
        assert_eq!(resolve("${attr.absent}", &node), None);
        assert_eq!(resolve("plain", &node), Some("plain"));
    }
}
