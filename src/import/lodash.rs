//! Templates of KES, in lodash's language, of which lookups become ours.
//!
//! Everything else in there is JavaScript: it is refused with its text, never copied.

use std::fmt::Write as _;

use super::jinja::{self, Converted, Draft, refused};

const CODE: &str =
    "only lookups such as `<%= data.key %>` and `<%= JSON.parse(data.key).member %>` are converted";

pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let mut draft = Draft::default();
    let mut rest = text;
    let mut warnings = Vec::new();
    while let Some((at, length)) = next_code(rest) {
        let (before, tag) = rest.split_at(at);
        draft.text(before);
        let (code, after) = tag.split_at(length);
        let inner = code
            .strip_prefix("<%=")
            .and_then(|it| it.strip_suffix("%>"));
        let lookup = inner.and_then(|inner| expression(inner.trim()));
        draft.expression(&lookup.ok_or_else(|| refused(code, CODE))?);
        rest = after;
        warnings = vec![
            "KES read values as ASCII here and a missing key as nothing; here they are UTF-8 and a missing key is an error",
        ];
    }
    draft.text(rest);
    draft.finish(warnings)
}

/// Where it begins, and how long it is.
fn next_code(text: &str) -> Option<(usize, usize)> {
    let last = text.rfind("%>").max(text.rfind('}'))?;
    let mut begins = text[..last].match_indices(['<', '$']);
    begins.find_map(|(at, _)| Some((at, code_length(&text[at..])?)))
}

/// Of `<% x %>` and of `${x}`, in which a backslash hides what follows. What does not end is text for lodash, and so may
/// be a value.
fn code_length(tag: &str) -> Option<usize> {
    if let Some(inner) = tag.strip_prefix("<%") {
        return inner.find("%>").map(|end| end + 4);
    }
    let mut chars = tag.strip_prefix("${")?.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '}' {
            return Some(at + 3);
        }
        let ends_line = |(_, c): (usize, char)| "\n\r\u{2028}\u{2029}".contains(c);
        if c == '\\' && chars.next().is_none_or(ends_line) {
            return None;
        }
    }
    None
}

fn expression(code: &str) -> Option<String> {
    let code = code.strip_suffix(';').unwrap_or(code).trim();
    if let Some(rest) = code.strip_prefix("JSON.parse(") {
        let (inner, rest) = rest.split_once(')')?;
        let (key, nothing) = step(inner.trim().strip_prefix("data")?)?;
        let mut steps = String::new();
        let mut rest = rest.trim();
        while !rest.is_empty() {
            let (name, more) = step(rest)?;
            let _ = write!(steps, "[{}]", jinja::string(&name));
            rest = more;
        }
        let found = !steps.is_empty() && nothing.is_empty();
        return found.then(|| format!("({} | from_json){steps}", jinja::lookup(&key)));
    }
    let (key, nothing) = step(code.strip_prefix("data")?)?;
    nothing.is_empty().then(|| jinja::lookup(&key))
}

/// `.name` or `["name"]`, and what follows.
fn step(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let end = rest.find(|c| !legal(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let begins = name.starts_with(|c: char| !c.is_ascii_digit());
        return (begins && !is_inherited(name)).then(|| (name.to_owned(), rest));
    }
    let rest = text.strip_prefix('[')?;
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let (name, rest) = rest[1..].split_once(quote)?;
    let legal = !name.is_empty() && !name.contains('\\') && !name.chars().any(char::is_control);
    let rest = rest.strip_prefix(']')?;
    (legal && !is_inherited(name)).then(|| (name.to_owned(), rest))
}

/// What every object in JavaScript has, or some have, beside its keys.
pub(super) fn is_inherited(name: &str) -> bool {
    matches!(
        name,
        "length"
            | "constructor"
            | "prototype"
            | "__proto__"
            | "__defineGetter__"
            | "__defineSetter__"
            | "__lookupGetter__"
            | "__lookupSetter__"
            | "hasOwnProperty"
            | "isPrototypeOf"
            | "propertyIsEnumerable"
            | "toLocaleString"
            | "toString"
            | "valueOf"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_become_ours() {
        for (theirs, ours) in [
            ("a <%= data.user %> b", "a {{ user }} b"),
            ("<%=data['tls.crt']%>", "{{ data[\"tls.crt\"] }}"),
            (
                "<%= JSON.parse(data.db).host %>:<%= JSON.parse(data.db)[\"a-b\"].c; %>",
                "{{ (db | from_json)[\"host\"] }}:{{ (db | from_json)[\"a-b\"][\"c\"] }}",
            ),
            (
                "{{ x }} {% y {# {",
                "{{ \"{\" }}{ x }} {{ \"{\" }}% y {{ \"{\" }}# {{ \"{\" }}",
            ),
            ("{<%= data.x %>}", "{{ \"{\" }}{{ x }}}"),
            ("<%= data.data %>", "{{ data[\"data\"] }}"),
        ] {
            assert_eq!(convert(theirs).unwrap().text, ours, "{theirs}");
        }
        assert_eq!(convert("plain").unwrap().literal.as_deref(), Some("plain"));
    }

    #[test]
    fn what_does_not_end_is_text() {
        for text in [
            "My Pass${x",
            "My Pass<%= data.a",
            "My %> Pass<%",
            "<%> My Pass",
            "${My\\} Pass",
            "${My\\\n} Pass",
            "$<{My Pass}",
        ] {
            let converted = convert(text).unwrap();
            assert_eq!(converted.literal.as_deref(), Some(text));
        }
        let both = convert("My ${Pass <%= data.key %>").unwrap();
        assert_eq!(both.text, "My ${Pass {{ key }}");
        assert!(both.keeps_text && !convert("<%= data.a %>:<%= data.b %>").unwrap().keeps_text);
        // The first end of the first beginning counts.
        for code in ["My ${Pass <%= data.key %>}", "My <%Pass <%= data.key %>"] {
            assert_eq!(convert(code).unwrap_err(), CODE);
        }
    }

    #[test]
    fn code_is_refused_with_its_text() {
        for theirs in [
            "<% if (x) { %>",
            "<%- data.a %>",
            "${data.a}",
            "<%= data.a.toUpperCase() %>",
            "<%= yaml.dump(data) %>",
            "<%= data.a + 1 %>",
            "<%= JSON.parse(data.a) %>",
            "<%= data.length %>",
            "<%= Buffer.from(data.a) %>",
            "<%%= x %>",
        ] {
            let refused = convert(theirs).unwrap_err();
            let quoted = theirs.get(..8).unwrap_or(theirs);
            assert!(refused.contains(quoted), "{theirs}: {refused}");
        }
    }
}
