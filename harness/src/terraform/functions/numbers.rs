//! Numbers.

use std::num::IntErrorKind;

use super::{Args, Entry, Needs};
use crate::terraform::number::Number;
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("abs", Needs::Everything, |args| {
        let number = args.number(0)?;
        Ok(Value::Number(if number < Number::from(0_i64) {
            number.negated()
        } else {
            number
        }))
    }),
    ("ceil", Needs::Everything, |args| {
        Ok(Value::Number(args.number(0)?.ceil()))
    }),
    ("floor", Needs::Everything, |args| {
        Ok(Value::Number(args.number(0)?.floor()))
    }),
    ("max", Needs::Everything, |args| {
        extreme(args, |candidate, best| candidate > best)
    }),
    ("min", Needs::Everything, |args| {
        extreme(args, |candidate, best| candidate < best)
    }),
    ("parseint", Needs::Everything, |args| {
        let (text, base) = (args.text(0)?, args.whole(1)?);
        let base = u32::try_from(base)
            .ok()
            .filter(|base| (2..=36).contains(base))
            .ok_or("a base is from 2 to 36")?;
        match i128::from_str_radix(&text, base) {
            Ok(number) => Number::parse(&number.to_string()).map_or_else(
                || Ok(args.unsupported("a number beyond 128 bits")),
                |number| Ok(Value::Number(number)),
            ),
            Err(error) => match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                    Ok(args.unsupported("a number beyond 128 bits"))
                }
                _ => Err(format!("`{text}` is no number of base {base}")),
            },
        }
    }),
    ("pow", Needs::Everything, |args| {
        let (base, exponent) = (args.number(0)?, args.number(1)?);
        let Some(exponent) = exponent.as_usize().filter(|exponent| *exponent <= 128) else {
            return Ok(args.unsupported("an exponent that is not a whole number from 0 to 128"));
        };
        let power = (0..exponent).try_fold(Number::from(1_i64), |power, _| power.times(base));
        // Terraform computes it in binary fractions of 64 bits: what those do not hold, it rounds.
        match power {
            None => Ok(args.unsupported("a number beyond 128 bits")),
            Some(power) if base.is_double() && power.is_double() => Ok(Value::Number(power)),
            Some(_) => Ok(args.unsupported("a number that Terraform rounds to 53 bits")),
        }
    }),
    ("signum", Needs::Everything, |args| {
        let number = args.number(0)?;
        let sign =
            i64::from(number > Number::from(0_i64)) - i64::from(number < Number::from(0_i64));
        Ok(Value::Number(Number::from(sign)))
    }),
];

fn extreme(args: &Args<'_>, better: fn(Number, Number) -> bool) -> Result<Value, String> {
    let mut best = args.number(0)?;
    for index in 1..args.values.len() {
        let candidate = args.number(index)?;
        if better(candidate, best) {
            best = candidate;
        }
    }
    Ok(Value::Number(best))
}
