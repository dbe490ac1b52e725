//! The frame of every page, and the one way that text gets into it.

/// Returns a whole page. Nothing in it comes from elsewhere, and the browser is told so: a script
/// that got in by a name would not run.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <footer>rehearse {}</footer>\n</body>\n</html>\n",
        text(title),
        include_str!("style.css"),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Writes text so that it is only text, between tags and in quoted attributes alike.
pub(crate) fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for letter in raw.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            // Control characters, and those that turn the direction of what follows.
            other if other.is_control() || ('\u{202a}'..='\u{202e}').contains(&other) => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// As [`text`], with what stands between backticks set as code.
pub(crate) fn words(raw: &str) -> String {
    let mut parts = raw.split('`');
    let mut html = text(parts.next().unwrap_or_default());
    let rest: Vec<&str> = parts.collect();
    for (place, part) in rest.iter().enumerate() {
        let is_code = place % 2 == 0;
        match is_code && place + 1 < rest.len() {
            true => html.push_str(&format!("<code>{}</code>", text(part))),
            // A backtick without its fellow is a backtick.
            false if is_code => html.push_str(&format!("`{}", text(part))),
            false => html.push_str(&text(part)),
        }
    }
    html
}

/// A time as people read it: `83 ms`, `1.93 s`, `4 min 10 s`.
pub(crate) fn time(ms: f64) -> String {
    if ms < 10.0 && ms.fract() != 0.0 {
        format!("{ms:.1} ms")
    } else if ms < 1_000.0 {
        format!("{ms:.0} ms")
    } else if ms < 10_000.0 {
        format!("{:.2} s", ms / 1_000.0)
    } else if ms < 120_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else {
        let seconds = (ms / 1_000.0).round();
        format!(
            "{:.0} min {:.0} s",
            (seconds / 60.0).floor(),
            seconds % 60.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_only_text() {
        assert_eq!(
            text("<b a=\"x\" c='y'>&\u{202e}\u{0}"),
            "&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn what_stands_between_backticks_is_code() {
        assert_eq!(words("a `b<` c"), "a <code>b&lt;</code> c");
        assert_eq!(words("a ` b"), "a ` b");
        assert_eq!(words("`a``b`"), "<code>a</code><code>b</code>");
    }

    #[test]
    fn times_are_told_as_people_do() {
        let told: Vec<_> = [0.0, 2.34, 83.2, 1934.0, 12_340.0, 250_000.0]
            .into_iter()
            .map(time)
            .collect();
        assert_eq!(
            told,
            ["0 ms", "2.3 ms", "83 ms", "1.93 s", "12.3 s", "4 min 10 s"]
        );
    }
}
