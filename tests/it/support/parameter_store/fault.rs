//! What can go wrong between Parameter Store and its reader beyond the wire, which the stand-in for Secrets Manager
//! breaks in every way.

use serde_json::{Value, json};

use super::super::aws::{ACCOUNT, REGION, Refusal};

/// How reads of a parameter end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    AccessDenied,
    Throttling,
    OtherName,
    OtherVersion,
    OtherAccount,
    /// The answer holds the parameter two times; a single answer comes as two documents in one body.
    Twice,
    /// The answer has the parameter neither among the found nor among the invalid; a single answer is `{}`.
    LeftOut,
}

impl Fault {
    /// Of the whole call, whatever else it asked for.
    pub fn refusal(self, operation: &str, resource: &str, quoted: &str) -> Option<Refusal> {
        match self {
            Self::AccessDenied => {
                let text = format!(
                    "User: arn:aws:iam::{ACCOUNT}:user/sync is not authorized to perform: ssm:{operation} on resource: {resource} because no identity-based policy allows the ssm:{operation} action {quoted}"
                );
                Some((400, "AccessDeniedException", text))
            }
            Self::Throttling => {
                let text = format!("Rate exceeded {quoted}");
                Some((400, "ThrottlingException", text))
            }
            _ => None,
        }
    }

    /// What stands in the answer in place of the right one.
    pub fn spoilt(self, mut right: Value) -> Vec<Value> {
        match self {
            Self::OtherName => {
                right["Name"] = json!("/another/parameter");
                let arn = format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/another/parameter");
                right["ARN"] = json!(arn);
            }
            Self::OtherVersion => {
                let version = right["Version"].as_u64().unwrap_or_default();
                right["Version"] = json!(version + 1000);
            }
            Self::OtherAccount => {
                let arn = right["ARN"].as_str().unwrap_or_default();
                right["ARN"] = json!(arn.replace(ACCOUNT, "999999999999"));
            }
            Self::Twice => return vec![right.clone(), right],
            Self::LeftOut => return Vec::new(),
            Self::AccessDenied | Self::Throttling => {}
        }
        vec![right]
    }
}
