//! What a `find` no longer lists.

use std::collections::BTreeSet;

/// The ARNs of what was delivered from a `find` and is not among its matches now. A secret that was deleted and made
/// anew has another ARN and the same name; it is not lost.
pub fn lost(delivered: &BTreeSet<String>, listed: &BTreeSet<String>) -> Vec<String> {
    let names: BTreeSet<&str> = listed.iter().map(|arn| name_of(arn)).collect();
    let lost = delivered.iter().filter(|arn| !names.contains(name_of(arn)));
    lost.cloned().collect()
}

/// Whether an ARN does not tell if the name begins with a slash: that of a parameter without a level inside.
pub fn is_ambiguous(arn: &str) -> bool {
    let name = name_of(arn);
    name.strip_prefix('/')
        .is_some_and(|bare| !bare.contains('/'))
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:secret:NAME-XXXXXX`, or `arn:...:ssm:REGION:ACCOUNT:parameter/NAME`. What is
/// neither is shown as it is.
pub fn name_of(arn: &str) -> &str {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts.as_slice() {
        [_, _, "secretsmanager", _, _, "secret", name] => match name.rsplit_once('-') {
            Some((name, end)) if end.len() == 6 => name,
            Some(_) | None => name,
        },
        [_, _, "ssm", _, _, parameter] => parameter.strip_prefix("parameter").unwrap_or(parameter),
        _ => arn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(names: &[&str]) -> BTreeSet<String> {
        let arn =
            |name: &&str| format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}");
        names.iter().map(arn).collect()
    }

    fn lost_names(delivered: &[&str], listed: &[&str]) -> Vec<String> {
        let lost = lost(&secrets(delivered), &secrets(listed));
        lost.iter().map(|arn| name_of(arn).to_owned()).collect()
    }

    #[test]
    fn a_name_that_left_is_lost_and_one_that_came_is_not() {
        let delivered = ["a-AbCdEf", "b-AbCdEf"];
        assert!(lost_names(&delivered, &["a-AbCdEf", "b-AbCdEf", "c-AbCdEf"]).is_empty());
        assert_eq!(lost_names(&delivered, &["a-AbCdEf", "c-AbCdEf"]), ["b"]);
        assert_eq!(lost_names(&delivered, &[]), ["a", "b"]);
    }

    #[test]
    fn a_name_made_anew_is_not_lost() {
        assert!(lost_names(&["a-AbCdEf"], &["a-FeDcBa"]).is_empty());
    }

    #[test]
    fn parameters_are_named_as_they_are_called() {
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b";
        assert_eq!(name_of(arn), "/a/b");
    }
}
