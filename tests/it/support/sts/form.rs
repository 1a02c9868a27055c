//! The query protocol: one form, with lists spelled out in the names of its fields.

use std::collections::BTreeMap;

pub struct Form(BTreeMap<String, String>);

impl Form {
    pub fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let fields = text.split('&').filter_map(|field| field.split_once('='));
        Self(
            fields
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// `NAME.member.1`, `NAME.member.2` and so on, each with this behind it.
    pub fn members(&self, name: &str, behind: &str) -> Vec<String> {
        (1..)
            .map_while(|i| self.get(&format!("{name}.member.{i}{behind}")))
            .collect()
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
