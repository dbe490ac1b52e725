//! Terraform's numbers are decimal fractions of 512 bits. Here they are exact fractions of two 128-bit
//! integers: what fits is exact, and what does not fit, or has no end in decimal, is not evaluated.

use std::cmp::Ordering;
use std::fmt;

/// An exact fraction in lowest terms, with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    numerator: i128,
    denominator: i128,
}

impl Number {
    fn fraction(numerator: i128, denominator: i128) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let divisor = gcd(numerator.unsigned_abs(), denominator.unsigned_abs());
        let divisor = i128::try_from(divisor).ok()?.max(1) * denominator.signum();
        let numerator = numerator.checked_div(divisor)?;
        // It has no negative.
        (numerator != i128::MIN).then_some(Self {
            numerator,
            denominator: denominator.checked_div(divisor)?,
        })
    }

    /// Reads a decimal number as HCL writes it (`12`, `-0.5`, `1e3`); `None` if it does not fit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text.as_str(), 0),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.trim_start_matches('-').is_empty() || !decimals.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
        if digits == 0 {
            return Self::fraction(0, 1);
        }
        let shift = exponent.checked_sub(i32::try_from(decimals.len()).ok()?)?;
        let power = 10_i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            Self::fraction(digits.checked_mul(power)?, 1)
        } else {
            Self::fraction(digits, power)
        }
    }

    /// Returns the whole number, `None` if it is none or too large.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        (self.denominator == 1)
            .then(|| i64::try_from(self.numerator).ok())
            .flatten()
    }

    /// Returns the whole number, `None` if it is none, negative or too large.
    #[must_use]
    pub fn as_usize(self) -> Option<usize> {
        self.as_i64()
            .and_then(|number| usize::try_from(number).ok())
    }

    /// Whether a binary fraction of 64 bits is exactly this.
    #[must_use]
    pub fn is_double(self) -> bool {
        let exponents = 1_i128 << 60;
        let digits = self.numerator.unsigned_abs();
        let significant = digits >> digits.trailing_zeros().min(127);
        self.denominator.count_ones() == 1
            && self.denominator <= exponents
            && significant < 1 << f64::MANTISSA_DIGITS
    }

    /// Whether it is a whole number.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.denominator == 1
    }

    /// Returns the sum, `None` if it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::fraction(
            left.checked_add(right)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    /// Returns the negative.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            numerator: -self.numerator,
            ..self
        }
    }

    /// Returns the product, `None` if it does not fit.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        Self::fraction(
            self.numerator.checked_mul(other.numerator)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    /// Returns the quotient, `None` for a division by zero or if it does not fit.
    #[must_use]
    pub fn over(self, other: Self) -> Option<Self> {
        Self::fraction(
            self.numerator.checked_mul(other.denominator)?,
            self.denominator.checked_mul(other.numerator)?,
        )
    }

    /// Returns the remainder, with the sign of the dividend; `None` as for [`Number::over`].
    #[must_use]
    pub fn remainder(self, other: Self) -> Option<Self> {
        let quotient = self.over(other)?;
        let whole = Self {
            numerator: quotient.numerator / quotient.denominator,
            denominator: 1,
        };
        self.plus(whole.times(other)?.negated())
    }

    /// Returns the largest whole number that is not above it.
    #[must_use]
    pub fn floor(self) -> Self {
        Self {
            numerator: self.numerator.div_euclid(self.denominator),
            denominator: 1,
        }
    }

    /// Returns the smallest whole number that is not below it.
    #[must_use]
    pub fn ceil(self) -> Self {
        self.negated().floor().negated()
    }

    /// Returns it in decimal, `None` where the decimals never end.
    #[must_use]
    pub fn decimal(self) -> Option<String> {
        let mut numerator = self.numerator;
        let mut denominator = self.denominator;
        let mut decimals = 0;
        while denominator != 1 {
            // Ten times the fraction, as long as that takes something off the denominator.
            let shrunk = Self::fraction(numerator.checked_mul(10)?, denominator)?;
            if shrunk.denominator == denominator {
                return None;
            }
            (numerator, denominator) = (shrunk.numerator, shrunk.denominator);
            decimals += 1;
        }
        if decimals == 0 {
            return Some(numerator.to_string());
        }
        let digits = format!(
            "{:0>width$}",
            numerator.unsigned_abs(),
            width = decimals + 1
        );
        let (whole, rest) = digits.split_at(digits.len() - decimals);
        Some(format!(
            "{}{whole}.{rest}",
            if numerator < 0 { "-" } else { "" }
        ))
    }
}

fn gcd(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Self {
            numerator: number.into(),
            denominator: 1,
        }
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        // No collection of this program's comes near 2^63 elements.
        Self::from(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut left, mut right) = (*self, *other);
        loop {
            let wholes = left.floor().numerator.cmp(&right.floor().numerator);
            let rest = |one: Self| one.numerator.rem_euclid(one.denominator);
            match (wholes, rest(left), rest(right)) {
                (Ordering::Equal, 0, 0) => return Ordering::Equal,
                (Ordering::Equal, 0, _) => return Ordering::Less,
                (Ordering::Equal, _, 0) => return Ordering::Greater,
                // Of what is left of two, that is smaller of which 1 is the larger multiple.
                (Ordering::Equal, one, another) => {
                    let upside_down = |over: i128, of: Self| Self {
                        numerator: of.denominator,
                        denominator: over,
                    };
                    (left, right) = (upside_down(another, right), upside_down(one, left));
                }
                (decided, ..) => return decided,
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decimal() {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn number(text: &str) -> Number {
        Number::parse(text).expect("a number")
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(
            number("0.1").plus(number("0.2")).unwrap().to_string(),
            "0.3"
        );
        assert_eq!(
            number("1e30").to_string(),
            "1000000000000000000000000000000"
        );
        assert_eq!(number("2.50").to_string(), "2.5");
        assert_eq!(number("-0.05").to_string(), "-0.05");
    }

    #[test]
    fn what_never_ends_has_no_decimals() {
        assert_eq!(number("1").over(number("3")).unwrap().decimal(), None);
        assert_eq!(number("1").over(number("0")), None);
    }

    #[test]
    fn what_does_not_fit_is_none_and_never_something_else() {
        for text in [
            "1.5e400",
            "1e39",
            "-170141183460469231731687303715884105728",
            "1e-2147483648",
            "0.1e-2147483647",
            "999999999999999999999999999999999999999999",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(number("0e400"), number("0"));
        let digits = "123456789012345678901234567890";
        assert_eq!(number(digits).to_string(), digits);
        // Products of these do not fit, and yet they are put in order.
        let (small, large) = ("1.0000000000000000000000001", "1.0000000000000000000000002");
        assert!(number(small) < number(large) && number(large) > number(small));
        assert!(number("-1.5") < number("-1.25") && number("2") < number("2.1"));
        let doubles = ["0.5", "9007199254740992", "1180591620717411303424", "-0.75"];
        assert!(doubles.iter().all(|text| number(text).is_double()));
        let others = [
            "0.1",
            "9007199254740993",
            "2503155504993241601315571986085849",
        ];
        assert!(!others.iter().any(|text| number(text).is_double()));
    }

    #[test]
    fn rounding_goes_down_and_up() {
        assert_eq!(number("-1.5").floor().to_string(), "-2");
        assert_eq!(number("-1.5").ceil().to_string(), "-1");
        assert_eq!(
            number("7").remainder(number("-4")).unwrap().to_string(),
            "3"
        );
    }
}
