//! What holds back many entries at once, above all of them.

use jiff::Timestamp;

use super::html::Html;
use super::row::explained;
use super::when::{self, Told};
use crate::status::{Held, LeaderStatus, ReloadStatus, Status, Trouble};

pub(super) fn write(html: &mut Html, status: &Status) {
    let now = status.at;
    html.raw("<ul id=\"notices\" aria-label=\"What holds back many\">");
    // First: all the rest is by another configuration.
    if let Some(reload) = status.reload.as_ref().filter(|it| !it.successful) {
        not_reloaded(html, reload, now);
    }
    for paused in &status.paused_stores {
        let pause = (paused.since, paused.next_probe, &paused.error);
        self::paused(html, ("Store ", &paused.store), pause, now);
    }
    for paused in &status.paused_clusters {
        let pause = (paused.since, paused.next_probe, &paused.error);
        self::paused(html, ("Cluster ", &paused.cluster), pause, now);
    }
    held(html, &status.held);
    if let Some(leader) = &status.leader {
        leadership(html, leader);
    }
    html.raw("</ul>\n");
}

fn paused(
    html: &mut Html,
    (kind, name): (&'static str, &str),
    (since, next, error): (Timestamp, Timestamp, &Trouble),
    now: Timestamp,
) {
    html.raw("<li class=\"bad\"><h2>").raw(kind).text(name);
    html.raw(" is paused</h2><p class=\"at\">Nothing is asked of it but a probe. Paused ");
    when::write(html, (since, now), Told::Past);
    html.raw(", next asked ");
    when::write(html, (next, now), Told::Due);
    html.raw("</p>");
    explained(html, error);
    html.raw("</li>");
}

fn not_reloaded(html: &mut Html, reload: &ReloadStatus, now: Timestamp) {
    html.raw("<li class=\"bad\"><h2>The configuration was not reloaded</h2><p class=\"at\">Tried ");
    when::write(html, (reload.at, now), Told::Past);
    html.raw("; the one from before goes on.</p><p>");
    html.prose(reload.error.as_deref().unwrap_or("The log says why."));
    let help = reload.help.as_deref();
    html.raw("</p><p class=\"help\">");
    html.prose(help.unwrap_or("`secretsyncd check` names every mistake in it"));
    html.raw("</p></li>");
}

fn held(html: &mut Html, held: &[Held]) {
    if held.is_empty() {
        return;
    }
    html.raw("<li class=\"bad\"><h2>Removals are held</h2><p class=\"at\">");
    html.raw("More than three targets and a fifth of all would go within an hour. Nothing was removed from these.</p>");
    for one in held {
        html.raw("<p>").text(&one.entry).raw(" <code>");
        html.count(one.targets.len());
        html.raw(if one.targets.len() == 1 {
            " target"
        } else {
            " targets"
        });
        html.raw("</code></p><p class=\"at\">");
        html.text(&one.targets.join(", ")).raw("</p>");
    }
    html.raw("<p class=\"help\">find out why their sources are gone; where that is right, ");
    html.raw(
        "<code>secretsyncd prune --apply NAME</code> lets an entry&#39;s removals go</p></li>",
    );
}

/// Where this machine leads and all is well, the top of the page says so.
fn leadership(html: &mut Html, leader: &LeaderStatus) {
    if leader.leads && leader.error.is_none() {
        return;
    }
    html.raw(if leader.error.is_some() {
        "<li class=\"bad\"><h2>"
    } else {
        "<li><h2>"
    });
    match (leader.leads, &leader.holder) {
        (true, _) => html.raw("This machine leads"),
        (false, Some(holder)) => html.text(holder).raw(" leads, this machine is on standby"),
        (false, None) => html.raw("Standby; nobody is known to lead"),
    };
    html.raw("</h2><p class=\"at\">This machine is ")
        .text(&leader.identity);
    html.raw("; the Lease is ").text(&leader.lease);
    html.raw(". Files are written here either way.</p>");
    if let Some(error) = &leader.error {
        explained(html, error);
    }
    html.raw("</li>");
}
