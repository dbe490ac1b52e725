//! Arithmetic, comparison and logic.

use hcl_edit::expr::{BinaryOperator, UnaryOperator};

use super::number::Number;
use super::value::{Unknown, Value};

/// Applies `-` or `!`. `written` is the expression's text, for what is not known.
///
/// # Errors
///
/// For a value of another type.
pub fn unary(operator: UnaryOperator, value: Value, written: &str) -> Result<Value, String> {
    if let Value::Unknown(unknown) = value {
        return Ok(Value::Unknown(unknown.within(written)));
    }
    match operator {
        UnaryOperator::Not => value
            .as_bool()
            .map(|value| Value::Bool(!value))
            .ok_or_else(|| format!("`!` takes true or false, this is a {}", value.type_name())),
        UnaryOperator::Neg => value
            .as_number()
            .map(|number| Value::Number(number.negated()))
            .ok_or_else(|| format!("`-` takes a number, this is a {}", value.type_name())),
    }
}

/// Applies an operator of two operands. `written` is the expression's text, for what is not known.
///
/// # Errors
///
/// For values of other types, division by zero, and numbers beyond 128 bits.
pub fn binary(
    left: Value,
    operator: BinaryOperator,
    right: Value,
    written: &str,
) -> Result<Value, String> {
    use BinaryOperator as Op;
    let unknowns: Vec<Unknown> = [&left, &right]
        .into_iter()
        .filter_map(|side| side.unknown(written))
        .collect();
    if !unknowns.is_empty() {
        return Ok(logic_with_unknown(&left, operator, &right)
            .unwrap_or_else(|| Value::Unknown(Unknown::joined(written, &unknowns))));
    }
    match operator {
        Op::Eq => Ok(Value::Bool(left == right)),
        Op::NotEq => Ok(Value::Bool(left != right)),
        Op::And | Op::Or => match (left.as_bool(), right.as_bool()) {
            (Some(left), Some(right)) => Ok(Value::Bool(if operator == Op::And {
                left && right
            } else {
                left || right
            })),
            _ => Err(format!(
                "`{}` takes true or false, this is a {} and a {}",
                operator.as_str(),
                left.type_name(),
                right.type_name()
            )),
        },
        _ => {
            let (Some(one), Some(other)) = (left.as_number(), right.as_number()) else {
                return Err(format!(
                    "`{}` takes numbers, this is a {} and a {}",
                    operator.as_str(),
                    left.type_name(),
                    right.type_name()
                ));
            };
            arithmetic(one, operator, other)
        }
    }
}

/// What one side of `&&` or `||` decides alone. Where it is the left one, Terraform from 1.12 on passes over
/// what is wrong with the right one, as in `var.vpc == null || length(var.vpc.subnets) > 0`, and earlier
/// ones refuse that.
pub fn decided_by(side: &Value, operator: BinaryOperator) -> Option<Value> {
    let deciding = match operator {
        BinaryOperator::And => false,
        BinaryOperator::Or => true,
        _ => return None,
    };
    (side.as_bool() == Some(deciding)).then_some(Value::Bool(deciding))
}

/// What Terraform knows even so. It decides `false && unknown` from 1.12 on only, but what the
/// shipped versions then plan is the same.
fn logic_with_unknown(left: &Value, operator: BinaryOperator, right: &Value) -> Option<Value> {
    // A comparison with null is decided as soon as the other side is an object, a resource or a list.
    let null_and_whole = |null: &Value, whole: &Value| {
        matches!(null, Value::Null) && !matches!(whole, Value::Unknown(_) | Value::Null)
    };
    match operator {
        BinaryOperator::Eq if null_and_whole(left, right) || null_and_whole(right, left) => {
            Some(Value::Bool(false))
        }
        BinaryOperator::NotEq if null_and_whole(left, right) || null_and_whole(right, left) => {
            Some(Value::Bool(true))
        }
        // The left side was asked before the right one was evaluated.
        _ => decided_by(right, operator),
    }
}

fn arithmetic(left: Number, operator: BinaryOperator, right: Number) -> Result<Value, String> {
    use BinaryOperator as Op;
    let number = match operator {
        Op::Less => return Ok(Value::Bool(left < right)),
        Op::LessEq => return Ok(Value::Bool(left <= right)),
        Op::Greater => return Ok(Value::Bool(left > right)),
        Op::GreaterEq => return Ok(Value::Bool(left >= right)),
        Op::Plus => left.plus(right),
        Op::Minus => left.plus(right.negated()),
        Op::Mul => left.times(right),
        Op::Div => left.over(right),
        Op::Mod => left.remainder(right),
        Op::Eq | Op::NotEq | Op::And | Op::Or => {
            unreachable!("decided before numbers are looked at")
        }
    };
    number.map(Value::Number).ok_or_else(|| {
        if matches!(operator, Op::Div | Op::Mod) && right == Number::from(0_i64) {
            "a division by zero".to_owned()
        } else {
            "a number beyond this reader's 128 bits".to_owned()
        }
    })
}
