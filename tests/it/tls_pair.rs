//! A certificate and its key are rotated one after the other: what is served is never half of each.

use std::collections::BTreeMap;

use crate::support::cluster::Cluster;
use crate::support::daemon::{Home, PATIENCE};
use crate::support::kubernetes::Kubernetes;
use crate::support::secrets_manager::SecretsManager;
use crate::support::wait::wait_until;

type Data = BTreeMap<String, Vec<u8>>;

struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn make() -> Self {
        let made = rcgen::generate_simple_self_signed(["made.example".to_owned()]).unwrap();
        Self {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    fn data(&self) -> Data {
        [("tls.crt", &self.certificate), ("tls.key", &self.key)]
            .map(|(key, value)| (key.to_owned(), value.clone().into_bytes()))
            .into()
    }
}

fn entry(namespace: &str) -> String {
    format!(
        "[secrets.web]
store = \"prod\"
refresh_interval = \"10s\"
data = [
  {{ secret_key = \"tls.crt\", remote_ref = {{ key = \"web/certificate\" }} }},
  {{ secret_key = \"tls.key\", remote_ref = {{ key = \"web/key\" }} }},
]
[[secrets.web.kubernetes]]
cluster = \"main\"
namespace = \"{namespace}\"
type = \"kubernetes.io/tls\"
"
    )
}

pub fn halves_wait_for_each_other(cluster: &dyn Cluster) {
    let (aws, home, namespace) = (SecretsManager::start(), Home::new(), cluster.namespace());
    let (old, new) = (Pair::make(), Pair::make());
    aws.put("web/certificate", &old.certificate);
    aws.put("web/key", &old.key);
    home.configure(&[aws.store("prod"), cluster.table("main"), entry(&namespace)].concat());
    let daemon = home.start_ready();
    let holds = |pair: &Pair| cluster.data(&namespace, "web") == Some(pair.data());
    wait_until(PATIENCE, "the old pair", || holds(&old));
    let version = cluster.resource_version(&namespace, "web");

    aws.put("web/certificate", &new.certificate);
    let status = daemon.wait_state("web", "failing");
    let trouble = status.entry("web").trouble().unwrap();
    assert_eq!(trouble.reason, "invalid");
    assert!(
        trouble
            .message
            .contains("`tls.key` is not the key of the first certificate in `tls.crt`"),
        "{trouble:?}"
    );
    assert!(trouble.help.contains("the same rotation"), "{trouble:?}");
    assert!(holds(&old));
    assert_eq!(cluster.resource_version(&namespace, "web"), version);

    aws.put("web/key", &new.key);
    wait_until(PATIENCE * 2, "the new pair", || holds(&new));
    daemon.wait_state("web", "fresh");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn the_stand_in_halves_wait_for_each_other() {
    halves_wait_for_each_other(&Kubernetes::start());
}
