//! Reads of one secret: its value under a label or id, and what is known about it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::aws::Refusal;
use super::state::{CURRENT, Content, Secret, State, Version};

const NO_SECRET: &str = "Secrets Manager can't find the specified secret.";

pub fn get(state: &State, body: &Value) -> Result<Value, Refusal> {
    let secret = find(state, body)?;
    if secret.deleted.is_some() {
        return Err((
            400,
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion."
                .to_owned(),
        ));
    }
    let version = wanted(
        secret,
        body["VersionId"].as_str(),
        body["VersionStage"].as_str(),
    )?;
    Ok(value(secret, version))
}

fn wanted<'a>(
    secret: &'a Secret,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<&'a Version, Refusal> {
    let absent = |what: String| {
        let text = format!("Secrets Manager can't find the specified secret value for {what}");
        (400, "ResourceNotFoundException", text)
    };
    let Some(id) = id else {
        let stage = stage.unwrap_or(CURRENT);
        return secret
            .with_stage(stage)
            .ok_or_else(|| absent(format!("staging label: {stage}")));
    };
    let version = secret
        .with_id(id)
        .ok_or_else(|| absent(format!("VersionId: {id}")))?;
    match stage {
        Some(stage) if !version.stages.contains(stage) => Err((
            400,
            "InvalidRequestException",
            "You provided a VersionStage that is not associated to the provided VersionId."
                .to_owned(),
        )),
        _ => Ok(version),
    }
}

fn value(secret: &Secret, version: &Version) -> Value {
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "VersionId": version.id,
        "VersionStages": version.stages,
        "CreatedDate": version.created,
    });
    match &version.content {
        Content::Text(text) => answer["SecretString"] = json!(text),
        Content::Binary(bytes) => answer["SecretBinary"] = json!(STANDARD.encode(bytes)),
    }
    answer
}

pub fn metadata(state: &State, body: &Value) -> Result<Value, Refusal> {
    let secret = find(state, body)?;
    let mut answer = json!({
        "ARN": secret.arn,
        "Name": secret.name,
        "CreatedDate": secret.created,
        "LastChangedDate": secret.changed,
        "VersionIdsToStages": secret.stages(),
        "Tags": tags(secret),
    });
    if let Some(deleted) = secret.deleted {
        answer["DeletedDate"] = json!(deleted);
    }
    Ok(answer)
}

pub fn tags(secret: &Secret) -> Value {
    let tags = secret.tags.iter();
    tags.map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

fn find<'a>(state: &'a State, body: &Value) -> Result<&'a Secret, Refusal> {
    let id = body["SecretId"].as_str().unwrap_or_default();
    state
        .find(id)
        .ok_or_else(|| (400, "ResourceNotFoundException", NO_SECRET.to_owned()))
}
