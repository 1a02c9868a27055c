//! No entry at all.

use super::{assert_quiet, browser, look, shown};
use crate::support::browser::Scripts;
use crate::support::daemon::Home;
use crate::support::http;

#[test]
fn a_page_without_entries_says_so() {
    let Some(browser) = browser(Scripts::Run) else {
        return;
    };
    let home = Home::new();
    home.configure("");
    let daemon = home.start_ready();
    look(&browser, &daemon, "none");
    assert_eq!(shown(&browser), [""; 0]);
    let headline = "return document.querySelector('h1').textContent";
    assert_eq!(browser.text(headline), "No entry is configured");
    assert_quiet(&browser, &daemon);
}

#[test]
fn the_page_is_for_this_machine_and_for_nobody_elses_frame() {
    let home = Home::new();
    home.configure("");
    let daemon = home.start_ready();
    let (status, policy) = http::block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let foreign = client
            .get(daemon.url("/"))
            .header("host", "evil.example:9785");
        let status = foreign.send().await.unwrap().status().as_u16();
        let page = client.get(daemon.url("/")).send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        (status, policy.to_owned())
    });
    assert_eq!(status, 421);
    for part in [
        "default-src 'none'",
        "style-src 'sha256-",
        "script-src 'sha256-",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
}
