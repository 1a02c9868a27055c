//! "Did you mean": typing mistakes, and the words of Go templates and sprig.

const OTHER_WORDS: &[(&str, &str)] = &[
    ("b64enc", "b64encode"),
    ("b64dec", "b64decode"),
    ("base64", "b64encode"),
    ("tojson", "to_json"),
    ("torawjson", "to_json"),
    ("toprettyjson", "to_json"),
    ("fromjson", "from_json"),
    ("toyaml", "to_yaml"),
    ("hasprefix", "startswith"),
    ("hassuffix", "endswith"),
    ("trimprefix", "trim_prefix"),
    ("trimsuffix", "trim_suffix"),
    ("sha256sum", "sha256"),
    ("sha512sum", "sha512"),
    ("splitlist", "split"),
    ("regexreplaceall", "regex_replace"),
    ("regexmatch", "regex_match"),
    ("sortalpha", "sort"),
    ("uniq", "unique"),
    ("count", "length"),
    ("len", "length"),
    ("urlquery", "urlencode_plus"),
    ("quote_plus", "urlencode_plus"),
    ("elseif", "elif"),
    ("elsif", "elif"),
];

/// The closest of the known names, if one is close.
pub(super) fn closest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Nobody mistypes so much, and the distance takes quadratic time.
    if text.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    let small = text.to_lowercase();
    let other = OTHER_WORDS.iter().find(|(word, _)| *word == small);
    if let Some(ours) = other.and_then(|(_, ours)| known.iter().find(|name| *name == ours)) {
        return Some(ours);
    }
    known
        .into_iter()
        .map(|name| {
            let distance = |text| strsim::damerau_levenshtein(text, name);
            (distance(text).min(distance(&small)), name)
        })
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).clamp(1, 4))
        .min()
        .map(|(_, name)| name)
}

/// The end of a sentence about it, or nothing.
pub(super) fn hint<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    closest(text, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
