mod broken;
mod certificates;
mod failures;
mod golden;
mod limits;
mod properties;
mod reading;
mod values;
mod words;

use super::{Broken, Template};
use crate::failure::Failure;
use crate::names::SecretKey;
use crate::secret::{Payload, SecretBytes};

fn payload(values: &[(&str, &[u8])]) -> Payload {
    let mut payload = Payload::default();
    for (key, value) in values {
        payload.insert(
            SecretKey::new(*key).unwrap(),
            SecretBytes::new(value.to_vec()),
        );
    }
    payload
}

fn template(text: &str) -> Template {
    Template::new("data.url", text).unwrap_or_else(|broken| panic!("{text}: {broken:?}"))
}

fn bytes(text: &str, values: &[(&str, &[u8])]) -> Result<Vec<u8>, Failure> {
    let rendered = template(text).render(&payload(values))?;
    Ok(rendered.expose().to_vec())
}

/// The text over text values.
fn render(text: &str, values: &[(&str, &str)]) -> String {
    let values: Vec<_> = values
        .iter()
        .map(|(key, value)| (*key, value.as_bytes()))
        .collect();
    match bytes(text, &values) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(failure) => panic!("{text}: {failure}"),
    }
}

fn failure(text: &str, values: &[(&str, &[u8])]) -> Failure {
    match bytes(text, values) {
        Ok(bytes) => panic!("{text} gives {:?}", String::from_utf8_lossy(&bytes)),
        Err(failure) => failure,
    }
}

fn broken(text: &str) -> Broken {
    match Template::new("data.url", text) {
        Ok(_) => panic!("{text} is taken"),
        Err(broken) => broken,
    }
}
