//! `BatchGetSecretValue`: each id for itself, unless what goes wrong is the call's own.

use serde_json::{Value, json};

use super::super::aws::{self, strings};
use super::super::serve::Reply;
use super::Fault;
use super::answer::{faulty, quoted};
use super::read::get;
use super::state::{Secret, State};

/// What a fault on one secret does to a batch that holds it.
enum Reach {
    /// An entry in `Errors`.
    Error,
    /// The secret's own place among the values, all others being right.
    Value,
    /// The whole call.
    Call,
}

pub fn batch(state: &State, body: &Value, credential: &str) -> Reply {
    let ids: Vec<&str> = strings(&body["SecretIdList"]).collect();
    if ids.is_empty() || ids.len() > 20 {
        let text = "SecretIdList must have between 1 and 20 members.".to_owned();
        return Reply::Answer(aws::answer(Err((400, "InvalidParameterException", text))));
    }
    let (mut values, mut errors, mut of_the_call) = (Vec::new(), Vec::new(), None);
    for id in ids {
        let name = state.find(id).map(Secret::key);
        let fault = state.fault(name).map(|fault| (fault, reach(fault)));
        let refusal = match (fault, get(state, &json!({ "SecretId": id }))) {
            (Some((fault, Reach::Error)), _) => {
                let (_, code, text) = in_batch(fault).error().expect("an error of AWS");
                Some((code, format!("{text}{}", quoted(state, name, credential))))
            }
            (_, Err((_, code, text))) => Some((code, text)),
            (Some((fault, Reach::Value)), Ok(value)) => {
                spoil(fault, value, &mut values);
                None
            }
            (fault, Ok(value)) => {
                let fault = fault.map(|(fault, _)| (fault, quoted(state, name, credential)));
                of_the_call = of_the_call.or(fault);
                values.push(value);
                None
            }
        };
        errors.extend(refusal.map(|(code, text)| entry(id, code, &text)));
    }
    // No order is promised, so none should be relied on.
    values.reverse();
    let truth = json!({"SecretValues": values, "Errors": errors});
    match of_the_call {
        Some((fault, quoted)) => faulty(fault, Ok(truth), &quoted),
        None => Reply::Answer(aws::ok(&truth)),
    }
}

fn entry(id: &str, code: &str, text: &str) -> Value {
    json!({"SecretId": id, "ErrorCode": code, "Message": text})
}

fn in_batch(fault: Fault) -> Fault {
    match fault {
        Fault::BatchOnlyDenied => Fault::AccessDenied,
        fault => fault,
    }
}

fn spoil(fault: Fault, mut value: Value, values: &mut Vec<Value>) {
    match fault {
        Fault::LeftOut => {}
        Fault::Twice => values.extend([value.clone(), value]),
        fault => {
            fault.spoil(&mut value);
            values.push(value);
        }
    }
}

fn reach(fault: Fault) -> Reach {
    match fault {
        Fault::AccessDenied
        | Fault::KmsDenied
        | Fault::DecryptionFailure
        | Fault::InvalidParameter
        | Fault::InternalServiceError
        | Fault::UnknownCode
        | Fault::BatchOnlyDenied => Reach::Error,
        Fault::Empty
        | Fault::MissingArn
        | Fault::MissingName
        | Fault::MissingVersionId
        | Fault::NoContent
        | Fault::EmptyString
        | Fault::OtherAccount
        | Fault::OtherRegion
        | Fault::OtherName
        | Fault::OtherVersion
        | Fault::OtherStage
        | Fault::TwoContents
        | Fault::Huge
        | Fault::Twice
        | Fault::LeftOut => Reach::Value,
        _ => Reach::Call,
    }
}
