//! Text.

use regex::Regex;

use super::{Args, Entry, Needs, texts};
use crate::terraform::number::Number;
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("chomp", Needs::Everything, |args| {
        Ok(Value::string(args.text(0)?.trim_end_matches(['\n', '\r'])))
    }),
    ("endswith", Needs::Everything, |args| {
        Ok(Value::Bool(args.text(0)?.ends_with(&args.text(1)?)))
    }),
    ("format", Needs::Everything, |args| {
        format(args, &args.values[1.min(args.values.len())..])
    }),
    ("formatlist", Needs::Everything, formatlist),
    ("indent", Needs::Everything, |args| {
        let spaces = " ".repeat(
            usize::try_from(args.whole(0)?).map_err(|_| "a negative indentation".to_owned())?,
        );
        Ok(Value::String(
            args.text(1)?.replace('\n', &format!("\n{spaces}")),
        ))
    }),
    ("join", Needs::Everything, |args| {
        let lists = (1..args.values.len())
            .map(|index| args.texts(index))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Value::String(lists.concat().join(&args.text(0)?)))
    }),
    ("lower", Needs::Everything, |args| {
        Ok(Value::String(args.text(0)?.to_lowercase()))
    }),
    ("regex", Needs::Everything, |args| {
        let (regex, text) = (compile(&args.text(0)?)?, args.text(1)?);
        let captures = regex
            .captures(&text)
            .ok_or_else(|| format!("`{}` is not found in the text", regex.as_str()))?;
        Ok(captured(&regex, &captures))
    }),
    ("regexall", Needs::Everything, |args| {
        let (regex, text) = (compile(&args.text(0)?)?, args.text(1)?);
        Ok(Value::List(
            regex
                .captures_iter(&text)
                .map(|captures| captured(&regex, &captures))
                .collect(),
        ))
    }),
    ("replace", Needs::Everything, replace),
    ("split", Needs::Everything, |args| {
        Ok(texts(split(&args.text(1)?, &args.text(0)?)))
    }),
    ("startswith", Needs::Everything, |args| {
        Ok(Value::Bool(args.text(0)?.starts_with(&args.text(1)?)))
    }),
    ("strcontains", Needs::Everything, |args| {
        Ok(Value::Bool(args.text(0)?.contains(&args.text(1)?)))
    }),
    ("strrev", Needs::Everything, |args| {
        Ok(Value::String(args.text(0)?.chars().rev().collect()))
    }),
    ("substr", Needs::Everything, substr),
    ("title", Needs::Everything, title),
    ("trim", Needs::Everything, |args| {
        let cut: Vec<char> = args.text(1)?.chars().collect();
        Ok(Value::string(args.text(0)?.trim_matches(cut.as_slice())))
    }),
    ("trimprefix", Needs::Everything, |args| {
        let (text, prefix) = (args.text(0)?, args.text(1)?);
        Ok(Value::string(text.strip_prefix(&prefix).unwrap_or(&text)))
    }),
    ("trimspace", Needs::Everything, |args| {
        Ok(Value::string(args.text(0)?.trim()))
    }),
    ("trimsuffix", Needs::Everything, |args| {
        let (text, suffix) = (args.text(0)?, args.text(1)?);
        Ok(Value::string(text.strip_suffix(&suffix).unwrap_or(&text)))
    }),
    ("upper", Needs::Everything, |args| {
        Ok(Value::String(args.text(0)?.to_uppercase()))
    }),
];

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("`{pattern}` is no regular expression: {error}"))
}

/// What `regex` gives: the whole match, or a tuple of groups, or an object of named groups.
fn captured(regex: &Regex, captures: &regex::Captures<'_>) -> Value {
    let group = |index: usize| {
        captures
            .get(index)
            .map_or(Value::Null, |group| Value::string(group.as_str()))
    };
    let names: Vec<_> = regex.capture_names().collect();
    if names.len() == 1 {
        return group(0);
    }
    if names.iter().any(Option::is_some) {
        return Value::Object(
            names
                .iter()
                .enumerate()
                .filter_map(|(index, name)| name.map(|name| (name.to_owned(), group(index))))
                .collect(),
        );
    }
    Value::Tuple((1..names.len()).map(group).collect())
}

fn replace(args: &Args<'_>) -> Result<Value, String> {
    let (text, pattern, replacement) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let regex = pattern
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    Ok(Value::String(match regex {
        Some(regex) => compile(regex)?
            .replace_all(&text, replacement.as_str())
            .into_owned(),
        None => text.replace(&pattern, &replacement),
    }))
}

fn split(text: &str, separator: &str) -> Vec<String> {
    if separator.is_empty() {
        return text.chars().map(String::from).collect();
    }
    text.split(separator).map(str::to_owned).collect()
}

fn substr(args: &Args<'_>) -> Result<Value, String> {
    let text = args.text(0)?;
    if !text.is_ascii() {
        return Ok(args.unsupported("counts grapheme clusters, which matters beyond ASCII"));
    }
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let (offset, wanted) = (args.whole(1)?, args.whole(2)?);
    let start = if offset < 0 {
        (length + offset).max(0)
    } else {
        offset.min(length)
    };
    let end = if wanted < 0 {
        length
    } else {
        start.saturating_add(wanted).min(length)
    };
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end.max(start)).unwrap_or(0);
    Ok(Value::string(&text[range]))
}

fn title(args: &Args<'_>) -> Result<Value, String> {
    let mut start = true;
    let mut titled = String::new();
    for c in args.text(0)?.chars() {
        if start {
            titled.extend(c.to_uppercase())
        } else {
            titled.push(c)
        }
        start = !(c.is_alphanumeric() || c == '_' || c == '\'');
    }
    Ok(Value::String(titled))
}

/// One directive of a format, as `%-08.3f`.
#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
    index: Option<usize>,
}

fn format(args: &Args<'_>, values: &[Value]) -> Result<Value, String> {
    let pattern = args.text(0)?;
    let mut text = String::new();
    let mut next = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let verb = read_verb(&mut chars);
        let kind = chars.next().ok_or("the format ends within a directive")?;
        let index = verb.index.unwrap_or(next);
        next = index + 1;
        let value = values
            .get(index)
            .ok_or_else(|| format!("`%{kind}` has no argument"))?;
        match formatted(&verb, kind, value)? {
            Some(piece) => text.push_str(&padded(&verb, &piece, kind)),
            None => return Ok(args.unsupported(&format!("`%{kind}`"))),
        }
    }
    Ok(Value::String(text))
}

fn read_verb(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Verb {
    let mut verb = Verb::default();
    let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        let mut number = 0_usize;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            chars.next();
            number = number
                .saturating_mul(10)
                .saturating_add(digit as usize)
                .min(10_000);
        }
        number
    };
    loop {
        match chars.peek() {
            Some('-') => verb.minus = true,
            Some('+') => verb.plus = true,
            Some('0') => verb.zero = true,
            Some('#') => verb.sharp = true,
            Some(' ') => verb.space = true,
            _ => break,
        }
        chars.next();
    }
    if chars.next_if_eq(&'[').is_some() {
        verb.index = number(chars).checked_sub(1);
        chars.next_if_eq(&']');
    }
    verb.width = number(chars);
    if chars.next_if_eq(&'.').is_some() {
        verb.precision = Some(number(chars));
    }
    verb
}

fn formatted(verb: &Verb, kind: char, value: &Value) -> Result<Option<String>, String> {
    let number = || {
        value
            .as_number()
            .ok_or_else(|| format!("`%{kind}` takes a number, this is a {}", value.type_name()))
    };
    let sign = |text: String| match (text.starts_with('-'), verb.plus, verb.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    };
    Ok(match kind {
        's' => value.to_text().map(|text| cut(verb, text)),
        'v' if verb.sharp || value.to_text().is_none() => Some(super::encoding::json(value)?),
        'v' => value.to_text(),
        'q' => Some(super::encoding::json(&Value::String(
            value.to_text().ok_or("`%q` takes text")?,
        ))?),
        't' => Some(
            value
                .as_bool()
                .ok_or("`%t` takes true or false")?
                .to_string(),
        ),
        'd' => Some(sign(truncated(number()?).to_string())),
        'f' => fixed(number()?, verb.precision.unwrap_or(6)).map(sign),
        'b' | 'o' | 'x' | 'X' => {
            let number = number()?
                .as_i64()
                .and_then(|number| u64::try_from(number).ok());
            number.map(|number| match kind {
                'b' => format!("{number:b}"),
                'o' => format!("{number:o}"),
                'x' => format!("{number:x}"),
                _ => format!("{number:X}"),
            })
        }
        _ => None,
    })
}

fn cut(verb: &Verb, text: String) -> String {
    verb.precision.map_or(text.clone(), |precision| {
        text.chars().take(precision).collect()
    })
}

fn truncated(number: Number) -> Number {
    if number < Number::from(0_i64) {
        number.ceil()
    } else {
        number.floor()
    }
}

/// Decimal with a fixed number of decimals, halves to the even neighbour.
fn fixed(number: Number, decimals: usize) -> Option<String> {
    let scale = Number::parse(&format!("1e{decimals}"))?;
    let scaled = number.times(scale)?;
    let (floor, half) = (scaled.floor(), Number::parse("0.5")?);
    let rest = scaled.plus(floor.negated())?;
    let odd = floor.remainder(Number::from(2_i64))? != Number::from(0_i64);
    let rounded = if rest > half || (rest == half && odd) {
        floor.plus(Number::from(1_i64))?
    } else {
        floor
    };
    let digits = rounded.to_string();
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits.as_str()), |rest| ("-", rest));
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimals);
    Some(if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest}")
    })
}

fn padded(verb: &Verb, piece: &str, kind: char) -> String {
    let missing = verb.width.saturating_sub(piece.chars().count());
    if missing == 0 {
        return piece.to_owned();
    }
    if verb.minus {
        return format!("{piece}{}", " ".repeat(missing));
    }
    if verb.zero && kind != 's' && kind != 'v' && kind != 'q' {
        let digits = piece.trim_start_matches(['-', '+', ' ']);
        let sign = &piece[..piece.len() - digits.len()];
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!(
        "{}{piece}",
        if verb.zero { "0" } else { " " }.repeat(missing)
    )
}

fn formatlist(args: &Args<'_>) -> Result<Value, String> {
    let lists: Vec<usize> = args.values[1.min(args.values.len())..]
        .iter()
        .filter_map(|value| value.elements().map(<[Value]>::len))
        .collect();
    let length = lists.first().copied().unwrap_or(1);
    if lists.iter().any(|other| *other != length) {
        return Err("the lists of `formatlist` have different lengths".to_owned());
    }
    let row = |index: usize| -> Vec<Value> {
        args.values[1..]
            .iter()
            .map(|value| {
                value
                    .elements()
                    .map_or_else(|| value.clone(), |elements| elements[index].clone())
            })
            .collect()
    };
    (0..length)
        .map(|index| format(args, &row(index)))
        .collect::<Result<_, _>>()
        .map(Value::List)
}
