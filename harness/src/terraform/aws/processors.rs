//! Instance types and their processors.

use crate::spec::Arch;

/// Returns the architecture of an instance type, `None` for text that is none.
///
/// AWS's naming: a `g` right after the generation's digits is a Graviton (`t4g`, `m7gd`, `im4gn`); `a1`
/// was the first, before that rule.
#[must_use]
pub fn arch_of(instance_type: &str) -> Option<Arch> {
    let (family, size) = instance_type.split_once('.')?;
    let letters = family.find(|c: char| c.is_ascii_digit())?;
    if letters == 0 || size.is_empty() || !family.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let attributes = family[letters..].trim_start_matches(|c: char| c.is_ascii_digit());
    let arm = family == "a1" || attributes.starts_with('g') || family.starts_with("mac2");
    Some(if arm { Arch::Arm64 } else { Arch::Amd64 })
}

#[cfg(test)]
mod tests {
    use super::arch_of;
    use crate::spec::Arch;

    #[test]
    fn a_g_after_the_generation_is_a_graviton() {
        for arm in [
            "t4g.small",
            "m7gd.large",
            "im4gn.xlarge",
            "a1.medium",
            "g5g.xlarge",
            "c8gn.metal-24xl",
        ] {
            assert_eq!(arch_of(arm), Some(Arch::Arm64), "{arm}");
        }
        for amd in [
            "t3.micro",
            "g4dn.xlarge",
            "m7a.large",
            "x2iedn.32xlarge",
            "u-6tb1.metal",
            "g5.xlarge",
        ] {
            assert_eq!(arch_of(amd), Some(Arch::Amd64), "{amd}");
        }
        assert_eq!(arch_of("large"), None);
        assert_eq!(arch_of("${type}"), None);
    }
}
