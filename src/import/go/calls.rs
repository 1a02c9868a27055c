//! Functions of Go templates and sprig, each as what it is called here.

use super::Warnings;
use super::value::{Shape, Source, Value};
use crate::import::jinja;

const EMPTY_LINES: &str = "lines without text are not indented here, in ESO they are";
const QUOTES: &str =
    "quotes and backslashes are escaped as in JSON, which differs from Go for control characters";
const SINGLE_QUOTES: &str = "single quotes in the value are doubled here, in ESO they are not";
const DEFAULTS: &str = "a missing key takes the default here, in ESO it is an error";
const NOT_BASE64: &str =
    "what is not base64 is an error here, in ESO the text of the error becomes the value";
const NUMBERS: &str = "numbers out of JSON keep their spelling here, in ESO they become floats (`1.0` is `1`, `5432000` is `5.432e+06`)";
const ESCAPES: &str = "`<`, `>` and `&` stay as they are in JSON here, in ESO they are escaped";
const SALTS: &str = "the same password gives the same line here, in ESO a new one each time";
const PEM: &str =
    "PEM is written anew here and may differ from ESO's in line ends; compare before adopting";

/// Text that only formats or separates may stay, and is warned of; this would be a value in the output.
const VALUE: &str = "a value stands here beside a lookup; put it into AWS, and look it up, too";

/// `arguments`: the subject last.
pub(super) fn call(
    name: &str,
    arguments: &[Value],
    warnings: Warnings<'_>,
) -> Result<Value, String> {
    let lacking = || Err(format!("`{name}` is not converted"));
    if name == "printf" {
        return printf(arguments);
    }
    if name == "htpasswd"
        && let [user, password] = arguments
    {
        warnings.push(SALTS);
        return htpasswd(user, password);
    }
    let Some((subject, before)) = arguments.split_last() else {
        return lacking();
    };
    if subject.shape == Shape::Json && !matches!(name, "toJson" | "mustToJson") {
        return Err(format!("`{name}` of what is no text is not converted"));
    }
    let source = source(name, subject, before)?;
    let (filter, warning) = match (name, before) {
        ("upper", []) => ("upper".to_owned(), None),
        ("lower", []) => ("lower".to_owned(), None),
        ("trim", []) => ("trim".to_owned(), None),
        ("b64enc", []) => ("b64encode".to_owned(), None),
        ("b64dec", []) => ("b64decode".to_owned(), Some(NOT_BASE64)),
        ("sha256sum", []) => ("sha256".to_owned(), None),
        ("sha512sum", []) => ("sha512".to_owned(), None),
        ("urlquery", []) => ("urlencode_plus".to_owned(), None),
        ("quote", []) => ("quote".to_owned(), Some(QUOTES)),
        ("squote", []) => ("squote".to_owned(), Some(SINGLE_QUOTES)),
        ("toJson" | "mustToJson", []) => ("to_json".to_owned(), Some(ESCAPES)),
        ("pkcs12cert", []) => ("pkcs12_cert".to_owned(), Some(PEM)),
        ("pkcs12key", []) => ("pkcs12_key".to_owned(), Some(PEM)),
        ("trimPrefix", [prefix]) => (with("trim_prefix", &[prefix]), None),
        ("trimSuffix", [suffix]) => (with("trim_suffix", &[suffix]), None),
        ("replace", [old, new]) => (with("replace", &[old, new]), None),
        ("filterPEM", [kind]) => (with("filter_pem", &[kind]), Some(PEM)),
        ("filterCertChain", [part]) => (with("filter_cert_chain", &[part]), Some(PEM)),
        ("nindent", [width]) => (with("nindent", &[width]), Some(EMPTY_LINES)),
        ("indent", [width]) => (format!("indent({}, true)", width.text), Some(EMPTY_LINES)),
        ("default", [other]) => (format!("default({}, true)", other.text), Some(DEFAULTS)),
        ("toString", []) => return Ok(subject.clone()),
        ("fromJson" | "mustFromJson", []) => {
            warnings.push(NUMBERS);
            return Ok(Value {
                shape: Shape::Json,
                ..Value::text(format!("{} | from_json", subject.text), source)
            });
        }
        (_, _) => return lacking(),
    };
    warnings.extend(warning);
    Ok(Value::text(format!("{} | {filter}", subject.text), source))
}

fn source(name: &str, subject: &Value, before: &[Value]) -> Result<Source, String> {
    let source = Source::of(before.iter().chain([subject]));
    if source == Source::Constant {
        return Ok(source);
    }
    let given = |it: &Value| is_constant(it) && it.literal.as_deref() != Some("");
    if is_constant(subject) || (name == "default" && before.iter().any(given)) {
        return Err(VALUE.to_owned());
    }
    let literal = matches!(name, "replace" | "trimPrefix" | "trimSuffix");
    let says = |it: &Value| is_constant(it) && it.literal.as_deref().is_none_or(jinja::says);
    if literal && before.iter().any(says) {
        return Ok(Source::Mixed);
    }
    Ok(source)
}

fn is_constant(value: &Value) -> bool {
    value.source == Source::Constant
}

/// A name that stands there is text like any other.
fn htpasswd(user: &Value, password: &Value) -> Result<Value, String> {
    let source = match (is_constant(user), is_constant(password)) {
        (false, true) => return Err(VALUE.to_owned()),
        (true, false) => Source::Mixed,
        (true, true) | (false, false) => Source::of([user, password]),
    };
    let text = format!("htpasswd({}, {})", user.text, password.text);
    Ok(Value::text(text, source))
}

fn with(filter: &str, arguments: &[&Value]) -> String {
    let arguments: Vec<&str> = arguments.iter().map(|it| &*it.text).collect();
    format!("{filter}({})", arguments.join(", "))
}

/// With `%s` and `%v` alone: the others look at types.
fn printf(arguments: &[Value]) -> Result<Value, String> {
    let wrong = || Err("only `printf` with `%s` and a value for each is converted".to_owned());
    let Some((format, values)) = arguments.split_first() else {
        return wrong();
    };
    let Some(text) = &format.literal else {
        return wrong();
    };
    let directives = text.replace("%v", "%s");
    let count = directives.matches("%s").count();
    let others = directives.replace("%s", "").contains('%');
    if others || count != values.len() || values.iter().any(|it| it.shape == Shape::Json) {
        return wrong();
    }
    let mut source = Source::of(values);
    if source != Source::Constant {
        if values.iter().any(is_constant) {
            return Err(VALUE.to_owned());
        }
        if jinja::says(&directives.replace("%s", "")) {
            source = Source::Mixed;
        }
    }
    let mut all = vec![jinja::string(&directives)];
    all.extend(values.iter().map(|it| it.text.clone()));
    Ok(Value::text(format!("printf({})", all.join(", ")), source))
}
