//! `find`: what is found here and what ESO finds.

use super::told::{SECRET, STORE, import};
use crate::support::daemon::Home;

const TAGS: &str = "find.tags: here each tag must be there with exactly this value";
const NAMED: &str = "`name` and `tags` must both hold";

/// What AWS or ESO takes for more, or less, than what is written.
#[test]
fn what_differs_in_a_search_is_said_with_what_to_do() {
    let home = Home::new();
    let find = |service: &str, find: &str| {
        let item = format!("dataFrom: [{{find: {{{find}}}}}]");
        let secret = SECRET.replace("data: [{secretKey: a, remoteRef: {key: a}}]", &item);
        let store = STORE.replace("SecretsManager", service);
        import(&home, &(secret + &store), &[]).stderr
    };
    let (name, tags) = ("name: {regexp: a}", "tags: {a: b}");
    let both = format!("{name}, {tags}");
    for (service, search, said) in [
        ("SecretsManager", tags, [true, false]),
        ("SecretsManager", &both, [true, true]),
        ("SecretsManager", name, [false, false]),
        ("ParameterStore", tags, [false, false]),
        ("ParameterStore", &both, [false, true]),
    ] {
        let report = find(service, search);
        let told = [TAGS, NAMED].map(|sentence| report.contains(sentence));
        assert_eq!(told, said, "{service} {search}\n{report}");
    }
    for (service, sentence) in [
        ("SecretsManager", "whose name begins with exactly this"),
        ("ParameterStore", "every parameter below it is read"),
    ] {
        let report = find(service, &format!("path: /a, {name}"));
        assert!(report.contains("find.path: here "), "{report}");
        assert!(report.contains(sentence), "{report}");
    }
}
