//! The page at `/`: every entry, how it stands and what to do, from the same [`Status`] as `/status`.
//!
//! One document that needs nothing else and can be read without its script. The script asks for the document again and
//! takes over what has changed; so there is one place that says how something looks, and it is here. No value and no
//! fingerprint is in a `Status`, hence none is on the page.

mod html;
mod notices;
mod row;
mod summary;
#[cfg(test)]
mod tests;
mod when;

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use self::html::Html;
use crate::status::{EntryStatus, Status};

const STYLE: &str = include_str!("page/style.css");
/// In one function, so that none of its names is the window's.
const SCRIPT: &str = concat!(
    "'use strict';\n(() => {\n",
    include_str!("page/script/rows.js"),
    include_str!("page/script/choice.js"),
    include_str!("page/script/refresh.js"),
    include_str!("page/script/begin.js"),
    "})();\n"
);

/// What a row takes, generously.
const ROW: usize = 1 << 10;

/// Nothing but this style and this script, which may ask this server again. The icon is part of the document: for one
/// that is not, browsers would send a request of their own.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::from_maybe_shared(policy.into_bytes())
        .unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// What [`render`] wrote, as it was printed.
pub(super) fn show(page: Response) -> Response {
    respond(StatusCode::OK, page)
}

/// Where the engine does not answer in time. It looks again by itself.
pub(super) fn absent() -> Response {
    let mut html = Html::default();
    head(&mut html, summary::Mood::Bad, |html| {
        html.raw("secretsyncd does not answer");
    });
    html.raw("<meta http-equiv=\"refresh\" content=\"5\">\n</head>\n<body>\n<main>\n");
    html.raw("<h1 class=\"bad\">secretsyncd is there, but does not say how things stand</h1>\n");
    html.raw("<p class=\"lead\">It is starting or stopping, or its scheduler hangs. This page asks again every five seconds.</p>\n");
    html.raw("<p class=\"lead\">What to do if it stays so: <code>journalctl -u secretsyncd</code> says what it did last; ");
    html.raw("<code>/healthz</code> says whether the scheduler makes progress. What was delivered stays as it is.</p>\n");
    html.raw("</main>\n</body>\n</html>\n");
    respond(StatusCode::SERVICE_UNAVAILABLE, html.into_string())
}

fn respond(status: StatusCode, html: impl IntoResponse) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, POLICY.clone()),
    ];
    (status, headers, html).into_response()
}

/// The page of this status. Of thousands of entries it takes milliseconds: not for a thread that serves others.
pub(super) fn render(mut status: Status) -> String {
    status
        .entries
        .sort_by(|a, b| (a.state, &a.name).cmp(&(b.state, &b.name)));
    let mut html =
        Html::with_capacity(STYLE.len() + SCRIPT.len() + (status.entries.len() + 8) * ROW);
    let mood = summary::mood(&status);
    head(&mut html, mood, |html| summary::title(html, &status));
    html.raw("</head>\n<body>\n<a class=\"skip\" href=\"#list\">Skip to the entries</a>\n");
    banner(&mut html, &status);
    html.raw("<main>\n");
    summary::headline(&mut html, &status);
    html.raw("<p id=\"lost\" hidden></p>\n");
    notices::write(&mut html, &status);
    summary::counts(&mut html, &status.entries);
    html.raw(TOOLS);
    table(&mut html, &status);
    html.raw("<p id=\"empty\" class=\"lead\">An entry is a <code>[secrets.NAME]</code> table of the configuration. ");
    html.raw("Write one, see with <code>secretsyncd check</code> (and the <code>--config</code> of this daemon, where it has one), and reload.</p>\n");
    html.raw(
        "</main>\n<footer><p>Times are counted from when the daemon said this. The same facts: ",
    );
    html.raw("<code>/status</code>, <code>secretsyncd status</code>, <code>/metrics</code>.</p></footer>\n");
    html.raw("<p id=\"say\" role=\"status\" class=\"unseen\"></p>\n<script>");
    html.raw(SCRIPT).raw("</script>\n</body>\n</html>\n");
    html.into_string()
}

fn head(html: &mut Html, mood: summary::Mood, title: impl FnOnce(&mut Html)) {
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    title(html);
    html.raw("</title>\n").raw(mood.icon()).raw("<style>");
    html.raw(STYLE).raw("</style>\n");
}

/// Whose page this is, and of when.
fn banner(html: &mut Html, status: &Status) {
    html.raw("<header>\n<p id=\"who\" data-release=\"")
        .text(&status.release);
    html.raw("\"><b>secretsyncd</b> <span>")
        .text(&status.instance);
    html.raw("</span> <span>").text(&status.release);
    html.raw("</span>");
    if let Some(leader) = &status.leader {
        html.raw(if leader.leads {
            " <span>leads</span>"
        } else {
            " <span>standby</span>"
        });
    }
    html.raw("</p>\n<p id=\"live\"><time id=\"at\" datetime=\"")
        .text(&format!("{:.3}", status.at));
    html.raw("\">")
        .text(&status.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    html.raw("</time> <span id=\"beat\"></span> <button type=\"button\" id=\"pause\" hidden>Pause</button></p>\n</header>\n");
}

/// What only the script can do is not there without it.
const TOOLS: &str = "<div id=\"tools\" role=\"search\" aria-label=\"Entries\" hidden>\
<label for=\"q\">Filter</label>\
<input id=\"q\" type=\"search\" autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\" placeholder=\"Name, store, target, error\">\
<label for=\"by\">Sort by</label>\
<select id=\"by\"><option value=\"s\">State, worst first</option><option value=\"n\">Name</option>\
<option value=\"v\">Version, newest first</option><option value=\"l\">Last success, oldest first</option>\
<option value=\"x\">Next sync, soonest first</option></select>\
<p id=\"shown\"></p></div>\n";

fn table(html: &mut Html, status: &Status) {
    html.raw("<div id=\"list\" tabindex=\"-1\">\n");
    html.raw("<table role=\"table\"><caption class=\"unseen\">Entries</caption>");
    html.raw("<thead role=\"rowgroup\">").raw(row::HEADERS);
    html.raw("</thead><tbody role=\"rowgroup\" id=\"rows\">\n");
    let write = |entry: &EntryStatus| row::write(html, entry, status.at);
    status.entries.iter().for_each(write);
    html.raw("</tbody></table>\n<p id=\"none\" hidden>No entry is like that. ");
    html.raw("<button type=\"button\" id=\"clear\">Show all</button></p>\n</div>\n");
}
