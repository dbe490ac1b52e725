//! Functions of HCL2 job files, the commonly used part of Nomad's list.
//!
//! Missing: those that read files (Nomad refuses them for jobs parsed by a server, too), time,
//! encryption, CIDR arithmetic, `try`/`can` (arguments are evaluated before the call) and
//! regular expressions.

use base64::Engine as _;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};
use hcl::{Map, Number, Value};

use ParamType::{Any, Number as Num, String as Str};

type Answer = Result<Value, String>;

/// Functions that Nomad has and this table has not (jobspec2/functions.go of 1.1.2).
const NOT_SIMULATED: &[&str] = &[
    "abspath",
    "basename",
    "bcrypt",
    "can",
    "chunklist",
    "cidrhost",
    "cidrnetmask",
    "cidrsubnet",
    "cidrsubnets",
    "coalescelist",
    "convert",
    "csvdecode",
    "dirname",
    "file",
    "fileexists",
    "fileset",
    "formatdate",
    "formatlist",
    "index",
    "log",
    "md5",
    "pathexpand",
    "regex_replace",
    "rsadecrypt",
    "setintersection",
    "setproduct",
    "setunion",
    "sha1",
    "sha256",
    "sha512",
    "strrev",
    "timeadd",
    "try",
    "urlencode",
    "uuidv5",
    "yamldecode",
    "yamlencode",
];

/// Whether Nomad has a function of that name, though it is not simulated.
pub(super) fn is_of_nomad(name: &str) -> bool {
    NOT_SIMULATED.contains(&name)
}

/// Name, fixed parameters, parameter that may repeat after them, what it does.
type Entry = (&'static str, &'static [ParamType], Option<ParamType>, Func);

const TABLE: &[Entry] = &[
    ("abs", &[Num], None, |a| Ok(number(f64_of(&a, 0).abs()))),
    ("ceil", &[Num], None, |a| Ok(number(f64_of(&a, 0).ceil()))),
    ("floor", &[Num], None, |a| Ok(number(f64_of(&a, 0).floor()))),
    ("signum", &[Num], None, |a| {
        let n = f64_of(&a, 0);
        Ok(number(if n == 0.0 { 0.0 } else { n.signum() }))
    }),
    ("pow", &[Num, Num], None, |a| {
        Ok(number(f64_of(&a, 0).powf(f64_of(&a, 1))))
    }),
    ("max", &[Num], Some(Num), |a| extreme(&a, f64::max)),
    ("min", &[Num], Some(Num), |a| extreme(&a, f64::min)),
    ("parseint", &[Str, Num], None, parse_int),
    ("lower", &[Str], None, |a| {
        Ok(str_of(&a, 0).to_lowercase().into())
    }),
    ("upper", &[Str], None, |a| {
        Ok(str_of(&a, 0).to_uppercase().into())
    }),
    ("title", &[Str], None, |a| Ok(title(str_of(&a, 0)).into())),
    ("trimspace", &[Str], None, |a| {
        Ok(str_of(&a, 0).trim().into())
    }),
    ("chomp", &[Str], None, |a| {
        Ok(str_of(&a, 0).trim_end_matches(['\r', '\n']).into())
    }),
    ("trim", &[Str, Str], None, |a| {
        let cut: Vec<char> = str_of(&a, 1).chars().collect();
        Ok(str_of(&a, 0).trim_matches(cut.as_slice()).into())
    }),
    ("trimprefix", &[Str, Str], None, |a| {
        let text = str_of(&a, 0);
        Ok(text.strip_prefix(str_of(&a, 1)).unwrap_or(text).into())
    }),
    ("trimsuffix", &[Str, Str], None, |a| {
        let text = str_of(&a, 0);
        Ok(text.strip_suffix(str_of(&a, 1)).unwrap_or(text).into())
    }),
    ("replace", &[Str, Str, Str], None, |a| {
        Ok(str_of(&a, 0).replace(str_of(&a, 1), str_of(&a, 2)).into())
    }),
    ("split", &[Str, Str], None, |a| {
        Ok(str_of(&a, 1)
            .split(str_of(&a, 0))
            .collect::<Vec<_>>()
            .into())
    }),
    ("join", &[Str, Any], Some(Any), join),
    ("strlen", &[Str], None, |a| {
        Ok(count(str_of(&a, 0).chars().count()))
    }),
    ("substr", &[Str, Num, Num], None, substr),
    ("indent", &[Num, Str], None, indent),
    ("format", &[Str], Some(Any), |a| format(&a).map(Value::from)),
    ("base64encode", &[Str], None, |a| {
        Ok(base64::prelude::BASE64_STANDARD
            .encode(str_of(&a, 0))
            .into())
    }),
    ("base64decode", &[Str], None, base64_decode),
    ("jsonencode", &[Any], None, |a| {
        serde_json::to_string(&a[0])
            .map(Value::from)
            .map_err(|e| e.to_string())
    }),
    ("jsondecode", &[Str], None, |a| {
        serde_json::from_str(str_of(&a, 0)).map_err(|e| e.to_string())
    }),
    ("tostring", &[Any], None, |a| {
        text_of(&a[0]).map(Value::from)
    }),
    ("tonumber", &[Any], None, to_number),
    ("tobool", &[Any], None, to_bool),
    ("tolist", &[Any], None, |a| Ok(a[0].clone())),
    ("toset", &[Any], None, |a| {
        Ok(distinct(list_of(&a, 0)?).into())
    }),
    ("length", &[Any], None, length),
    ("concat", &[Any], Some(Any), concat),
    ("contains", &[Any, Any], None, |a| {
        Ok(list_of(&a, 0)?.contains(&a[1]).into())
    }),
    ("distinct", &[Any], None, |a| {
        Ok(distinct(list_of(&a, 0)?).into())
    }),
    ("reverse", &[Any], None, |a| {
        Ok(list_of(&a, 0)?
            .iter()
            .rev()
            .cloned()
            .collect::<Vec<_>>()
            .into())
    }),
    ("sort", &[Any], None, sort),
    ("compact", &[Any], None, |a| {
        let kept = list_of(&a, 0)?
            .iter()
            .filter(|v| !v.is_null() && v.as_str() != Some(""));
        Ok(kept.cloned().collect::<Vec<_>>().into())
    }),
    ("flatten", &[Any], None, |a| {
        let mut flat = Vec::new();
        flatten(list_of(&a, 0)?, &mut flat);
        Ok(flat.into())
    }),
    ("element", &[Any, Num], None, element),
    ("slice", &[Any, Num, Num], None, slice),
    ("range", &[Num], Some(Num), range),
    ("coalesce", &[Any], Some(Any), |a| {
        let found = a.iter().find(|v| !v.is_null() && v.as_str() != Some(""));
        found
            .cloned()
            .ok_or_else(|| "no argument has a value".to_owned())
    }),
    ("keys", &[Any], None, |a| {
        let mut keys: Vec<_> = object_of(&a, 0)?.keys().cloned().collect();
        keys.sort();
        Ok(keys.into())
    }),
    ("values", &[Any], None, values),
    ("lookup", &[Any, Str], Some(Any), |a| {
        let found = object_of(&a, 0)?.get(str_of(&a, 1)).or_else(|| a.get(2));
        found
            .cloned()
            .ok_or_else(|| format!("there is no key `{}`", str_of(&a, 1)))
    }),
    ("merge", &[Any], Some(Any), |a| {
        let mut merged = Map::new();
        for i in 0..a.len() {
            merged.extend(object_of(&a, i)?.clone());
        }
        Ok(merged.into())
    }),
    ("zipmap", &[Any, Any], None, zipmap),
    ("uuidv4", &[], None, |_| {
        Ok(uuid::Uuid::new_v4().to_string().into())
    }),
];

/// Makes every function known to `context`.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, fixed, repeated, function) in TABLE {
        let mut builder = FuncDef::builder().params(fixed.iter().cloned());
        if let Some(repeated) = repeated {
            builder = builder.variadic_param(repeated.clone());
        }
        context.declare_func(*name, builder.build(*function));
    }
}

/// The text that HCL converts a value to, where it does.
pub(super) fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Null => Err("expected a string, found null".to_owned()),
        Value::Array(_) => Err("expected a string, found a list".to_owned()),
        Value::Object(_) => Err("expected a string, found an object".to_owned()),
    }
}

fn str_of(args: &FuncArgs, at: usize) -> &str {
    args[at].as_str().expect("the table declares a string here")
}

fn f64_of(args: &FuncArgs, at: usize) -> f64 {
    let number = args[at]
        .as_number()
        .expect("the table declares a number here");
    number.as_f64().unwrap_or(f64::NAN)
}

fn list_of(args: &FuncArgs, at: usize) -> Result<&Vec<Value>, String> {
    args[at]
        .as_array()
        .ok_or_else(|| format!("argument {} must be a list", at + 1))
}

fn object_of(args: &FuncArgs, at: usize) -> Result<&Map<String, Value>, String> {
    args[at]
        .as_object()
        .ok_or_else(|| format!("argument {} must be a map", at + 1))
}

/// A whole number stays whole, so that it prints without a fraction.
fn number(n: f64) -> Value {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and small"
    )]
    if n.fract() == 0.0 && n.abs() < 9e15 {
        return Value::from(n as i64);
    }
    Number::from_f64(n).map_or(Value::Null, Value::Number)
}

fn count(n: usize) -> Value {
    Value::from(u64::try_from(n).expect("a length fits 64 bits"))
}

fn index_of(args: &FuncArgs, at: usize) -> Result<usize, String> {
    let number = args[at].as_number().and_then(Number::as_u64);
    let index = number.and_then(|n| usize::try_from(n).ok());
    index.ok_or_else(|| format!("argument {} must be a whole number, not negative", at + 1))
}

fn extreme(args: &FuncArgs, pick: fn(f64, f64) -> f64) -> Answer {
    let all = (0..args.len()).map(|i| f64_of(args, i));
    Ok(number(
        all.reduce(pick).expect("the table demands one argument"),
    ))
}

fn parse_int(args: FuncArgs) -> Answer {
    let base = u32::try_from(index_of(&args, 1)?).unwrap_or(0);
    if !(2..=36).contains(&base) {
        return Err("the base must be 2 to 36".to_owned());
    }
    let text = str_of(&args, 0);
    i64::from_str_radix(text, base)
        .map(Value::from)
        .map_err(|_| format!("`{text}` is not a number in base {base}"))
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let shown = if start { c.to_ascii_uppercase() } else { c };
            start = c.is_whitespace();
            shown
        })
        .collect()
}

fn join(args: FuncArgs) -> Answer {
    let mut parts = Vec::new();
    for i in 1..args.len() {
        for value in list_of(&args, i)? {
            parts.push(text_of(value)?);
        }
    }
    Ok(parts.join(str_of(&args, 0)).into())
}

fn substr(args: FuncArgs) -> Answer {
    let text = str_of(&args, 0).chars();
    let offset = index_of(&args, 1)?;
    // A length of -1 is "to the end".
    if f64_of(&args, 2) < 0.0 {
        return Ok(text.skip(offset).collect::<String>().into());
    }
    let length = index_of(&args, 2)?;
    Ok(text.skip(offset).take(length).collect::<String>().into())
}

fn indent(args: FuncArgs) -> Answer {
    let spaces = " ".repeat(index_of(&args, 0)?.min(1000));
    Ok(str_of(&args, 1)
        .replace('\n', &format!("\n{spaces}"))
        .into())
}

/// Go's verbs `%s %d %v %q %t %f %%`, with zero padding and width for numbers.
fn format(args: &FuncArgs) -> Result<String, String> {
    let mut out = String::new();
    let mut values = args.iter().skip(1);
    let mut chars = str_of(args, 0).chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| c.is_ascii_digit() || matches!(c, '.' | '-')) {
            flags.push(flag);
        }
        let verb = chars.next().ok_or("the format ends after `%`")?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = values
            .next()
            .ok_or_else(|| format!("no value for `%{verb}`"))?;
        out.push_str(&format_one(verb, &flags, value)?);
    }
    match values.next() {
        None => Ok(out),
        Some(_) => Err("more values than verbs".to_owned()),
    }
}

fn format_one(verb: char, flags: &str, value: &Value) -> Result<String, String> {
    let shown = match verb {
        's' | 'v' | 't' => {
            text_of(value).or_else(|_| serde_json::to_string(value).map_err(|e| e.to_string()))?
        }
        'q' => serde_json::to_string(&text_of(value)?).map_err(|e| e.to_string())?,
        'd' | 'f' => {
            let n = value.as_number().and_then(Number::as_f64);
            let n = n.ok_or_else(|| format!("`%{verb}` needs a number"))?;
            match (verb, flags.split_once('.')) {
                ('d', _) => format!("{n:.0}"),
                (_, Some((_, digits))) => format!("{n:.*}", digits.parse().unwrap_or(6)),
                _ => format!("{n:.6}"),
            }
        }
        other => return Err(format!("`%{other}` is not simulated")),
    };
    let width = flags.split('.').next().unwrap_or_default();
    let wide: usize = width
        .trim_start_matches(['-', '0'])
        .parse()
        .unwrap_or(0)
        .min(1000);
    Ok(match width.chars().next() {
        Some('-') => format!("{shown:<wide$}"),
        Some('0') => format!("{shown:0>wide$}"),
        _ => format!("{shown:>wide$}"),
    })
}

fn base64_decode(args: FuncArgs) -> Answer {
    let bytes = base64::prelude::BASE64_STANDARD.decode(str_of(&args, 0));
    let bytes = bytes.map_err(|e| e.to_string())?;
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| "the result is not UTF-8".to_owned())
}

fn to_number(args: FuncArgs) -> Answer {
    match &args[0] {
        Value::Number(n) => Ok(Value::Number(*n)),
        Value::String(text) => {
            let parsed: Result<f64, _> = text.trim().parse();
            parsed
                .map(number)
                .map_err(|_| format!("`{text}` is not a number"))
        }
        other => Err(format!("`{other}` is not a number")),
    }
}

fn to_bool(args: FuncArgs) -> Answer {
    match text_of(&args[0])?.as_str() {
        "true" => Ok(true.into()),
        "false" => Ok(false.into()),
        other => Err(format!("`{other}` is neither `true` nor `false`")),
    }
}

fn length(args: FuncArgs) -> Answer {
    match &args[0] {
        Value::Array(list) => Ok(count(list.len())),
        Value::Object(map) => Ok(count(map.len())),
        Value::String(text) => Ok(count(text.chars().count())),
        _ => Err("the argument must be a list, a map or a string".to_owned()),
    }
}

fn concat(args: FuncArgs) -> Answer {
    let mut all = Vec::new();
    for i in 0..args.len() {
        all.extend(list_of(&args, i)?.iter().cloned());
    }
    Ok(all.into())
}

fn distinct(list: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for value in list {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    kept
}

fn sort(args: FuncArgs) -> Answer {
    let texts: Result<Vec<String>, String> = list_of(&args, 0)?.iter().map(text_of).collect();
    let mut texts = texts?;
    texts.sort();
    Ok(texts.into())
}

fn flatten(list: &[Value], into: &mut Vec<Value>) {
    for value in list {
        match value {
            Value::Array(inner) => flatten(inner, into),
            other => into.push(other.clone()),
        }
    }
}

fn element(args: FuncArgs) -> Answer {
    let list = list_of(&args, 0)?;
    if list.is_empty() {
        return Err("the list is empty".to_owned());
    }
    Ok(list[index_of(&args, 1)? % list.len()].clone())
}

fn slice(args: FuncArgs) -> Answer {
    let list = list_of(&args, 0)?;
    let (from, to) = (index_of(&args, 1)?, index_of(&args, 2)?);
    let part = list.get(from..to);
    part.map(|part| part.to_vec().into())
        .ok_or_else(|| format!("{from} to {to} is outside a list of {}", list.len()))
}

fn range(args: FuncArgs) -> Answer {
    let (from, to, step) = match args.len() {
        1 => (0.0, f64_of(&args, 0), 1.0),
        2 => (f64_of(&args, 0), f64_of(&args, 1), 1.0),
        _ => (f64_of(&args, 0), f64_of(&args, 1), f64_of(&args, 2)),
    };
    let mut list = Vec::new();
    let mut at = from;
    while step != 0.0 && (to - at) * step > 0.0 {
        // Nomad's own limit.
        if list.len() == 1024 {
            return Err("more than 1024 values".to_owned());
        }
        list.push(number(at));
        at += step;
    }
    Ok(list.into())
}

fn values(args: FuncArgs) -> Answer {
    let mut pairs: Vec<_> = object_of(&args, 0)?.iter().collect();
    pairs.sort_by(|a, b| a.0.cmp(b.0));
    Ok(pairs
        .into_iter()
        .map(|(_, v)| v.clone())
        .collect::<Vec<_>>()
        .into())
}

fn zipmap(args: FuncArgs) -> Answer {
    let (keys, values) = (list_of(&args, 0)?, list_of(&args, 1)?);
    if keys.len() != values.len() {
        return Err(format!("{} keys for {} values", keys.len(), values.len()));
    }
    let mut map = Map::new();
    for (key, value) in keys.iter().zip(values) {
        map.insert(text_of(key)?, value.clone());
    }
    Ok(map.into())
}

#[cfg(test)]
mod tests {
    use super::super::eval::Evaluator;

    fn eval(expression: &str) -> Result<String, String> {
        let text = format!("a = {expression}\n");
        let body = hcl_edit::parser::parse_body(&text).expect("the test's text parses");
        let attribute = body.get_attribute("a").expect("it has `a`");
        let value = Evaluator::new(&text).eval(&attribute.value);
        let value = value.map_err(|refusal| refusal.message)?;
        serde_json::to_string(&value).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_simulated_is_not_called_otherwise() {
        for (name, ..) in super::TABLE {
            assert!(!super::is_of_nomad(name), "{name}");
        }
    }

    #[test]
    fn functions_answer_as_nomads_do() {
        for (expression, json) in [
            (r#"format("%s-%03d", "a", 7)"#, r#""a-007""#),
            (r#"format("%.2f%%", 1.5)"#, r#""1.50%""#),
            (r#"split(",", "a,b")"#, r#"["a","b"]"#),
            (r#"merge({a = 1}, {b = 2})"#, r#"{"a":1,"b":2}"#),
            (r#"lookup({a = 1}, "b", 3)"#, "3"),
            ("range(3)", "[0,1,2]"),
            ("max(1, 5, 2)", "5"),
            (r#"element(["a", "b"], 3)"#, r#""b""#),
            (r#"substr("hello", 1, -1)"#, r#""ello""#),
            (r#"base64decode(base64encode("ü"))"#, r#""ü""#),
            (r#"jsondecode("{\"a\": [1]}").a[0]"#, "1"),
            (r#"join("-", ["a"], ["b", 1])"#, r#""a-b-1""#),
            (r#"tonumber("2") + 1"#, "3"),
            (r#"flatten([[1], [2, [3]]])"#, "[1,2,3]"),
            (r#"title("hello world")"#, r#""Hello World""#),
        ] {
            assert_eq!(eval(expression).as_deref(), Ok(json), "{expression}");
        }
    }

    #[test]
    fn a_wrong_argument_is_an_error_that_names_the_function() {
        for expression in [
            r#"upper(["a"])"#,
            "element([], 0)",
            r#"format("%s")"#,
            "range(5000)",
        ] {
            let error = eval(expression).expect_err(expression);
            let name = expression.split('(').next().unwrap_or_default();
            assert!(error.contains(name), "{error}");
        }
    }
}
