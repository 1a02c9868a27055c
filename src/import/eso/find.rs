//! `find`: secrets by their names and tags, which AWS takes for more than what is written.

use super::super::context::Chosen;
use super::super::draft::{Service, What};
use super::super::tree::{Field, Map};
use super::data::{decoding, null_bytes, service};

const PATH: &str = "here every secret is read whose name begins with exactly this; ESO leaves it to AWS's filter, in which a `!` at its beginning means all the others: look in `plan` for the keys that you expect";
const LEVEL: &str = "here it is a level of names, and every parameter below it is read, however deep: look in `plan` for the keys that you expect";
const TAGS: &str = "here each tag must be there with exactly this value; ESO leaves it to AWS, which takes beginnings of both, and the value under any key, so that ESO may deliver more: look in `plan` for the keys that you need";
const BESIDE_NAME: &str = "here `name` and `tags` must both hold; older releases of ESO look at `name` alone: where yours does, take `tags` away";
const PARAMETERS_BESIDE_NAME: &str = "here `name` and `tags` must both hold; of parameters ESO looks at `name` alone: take `tags` away for what it delivers";

pub(super) fn read(field: &Field, chosen: Option<&Chosen>) -> Option<What> {
    let map = field.map()?;
    let decoding = decoding(map);
    null_bytes(map);
    let of = service(chosen);
    if let Some(path) = map.get("path") {
        path.warn(match of {
            Service::SecretsManager => PATH,
            Service::ParameterStore => LEVEL,
        });
    }
    let name = map.map("name");
    let regexp = name.and_then(|name| name.text("regexp"));
    let mut tags = Vec::new();
    if let Some(field) = map.get("tags") {
        let texts = field.map().map(Map::texts).unwrap_or_default();
        let texts = texts.into_iter();
        tags.extend(texts.map(|(field, text)| (field.key.to_string(), text.to_owned())));
        match (of, regexp) {
            (Service::SecretsManager, None) => field.warn(TAGS),
            (Service::SecretsManager, Some(_)) => field.warn(format!("{TAGS}; {BESIDE_NAME}")),
            (Service::ParameterStore, None) => {}
            (Service::ParameterStore, Some(_)) => field.warn(PARAMETERS_BESIDE_NAME),
        }
    }
    if chosen.is_some_and(|chosen| chosen.prefix) {
        field.warn(
            "the store's prefix stands before what is found here; ESO is not consistent about that",
        );
    }
    let path = map.text("path").filter(|path| !path.is_empty());
    Some(What::Find {
        path: path.map(str::to_owned),
        regexp: regexp.map(str::to_owned),
        tags,
        decoding,
    })
}
