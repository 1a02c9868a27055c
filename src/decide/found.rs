//! What a `find` no longer lists.

use std::collections::BTreeSet;

use crate::store::Identity;

/// The name of a secret that was delivered from a `find` and is not among its matches now, if there is one. A secret
/// that was deleted and made anew has another ARN and the same name.
pub fn lost(delivered: &Identity, answered: &Identity) -> Option<String> {
    let (Identity::Arns(delivered), Identity::Arns(answered)) = (delivered, answered) else {
        return None;
    };
    let listed: BTreeSet<&str> = answered.iter().map(|arn| name_of(arn)).collect();
    let mut names = delivered.iter().map(|arn| name_of(arn));
    names.find(|name| !listed.contains(name)).map(str::to_owned)
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:secret:NAME-XXXXXX`, or `arn:...:ssm:REGION:ACCOUNT:parameter/NAME`. What is
/// neither is shown as it is.
fn name_of(arn: &str) -> &str {
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

    fn secrets(names: &[&str]) -> Identity {
        let arn =
            |name: &&str| format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}");
        Identity::Arns(names.iter().map(arn).collect())
    }

    #[test]
    fn a_name_that_left_is_lost_and_one_that_came_is_not() {
        let delivered = secrets(&["a-AbCdEf", "b-AbCdEf"]);
        let more = secrets(&["a-AbCdEf", "b-AbCdEf", "c-AbCdEf"]);
        assert_eq!(lost(&delivered, &more), None);
        let other = secrets(&["a-AbCdEf", "c-AbCdEf"]);
        assert_eq!(lost(&delivered, &other), Some("b".to_owned()));
        assert_eq!(lost(&delivered, &secrets(&[])), Some("a".to_owned()));
    }

    #[test]
    fn a_name_made_anew_is_not_lost() {
        assert_eq!(lost(&secrets(&["a-AbCdEf"]), &secrets(&["a-FeDcBa"])), None);
    }

    #[test]
    fn parameters_are_named_as_they_are_called() {
        let parameter = |name: &str| {
            Identity::Arns(
                [format!(
                    "arn:aws:ssm:eu-west-1:123456789012:parameter{name}"
                )]
                .into(),
            )
        };
        let lost = lost(&parameter("/a/b"), &parameter("/a/c"));
        assert_eq!(lost, Some("/a/b".to_owned()));
    }
}
