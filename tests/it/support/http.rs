//! A blocking GET for pages on loopback, and a runtime for tests that speak to a stand-in themselves.

use std::future::Future;

/// One answer: its status and its body as text.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub body: String,
}

/// `None` when nobody answers.
pub fn get(url: &str) -> Option<Page> {
    block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(std::time::Duration::from_secs(20))
            .build()
            .unwrap();
        let response = client.get(url).send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.text().await.ok()?;
        Some(Page { status, body })
    })
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
