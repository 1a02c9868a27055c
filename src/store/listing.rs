//! A list that comes page by page, as a `find` gathers it. Pure: the pages are fetched by whoever knows the service.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Content, Identity, Match};
use crate::config::Find;
use crate::failure::{Failure, Reason};
use crate::names::RemoteKey;

/// One entry can hold so many matches: a Secret takes 1 MiB.
const MATCHES: usize = 20_000;

/// AWS takes no longer ones back (API reference, `NextToken`).
const TOKEN: usize = 4096;

/// What follows after a page.
#[derive(Debug)]
pub(super) enum Next {
    Page(String),
    Done(Answer),
}

#[derive(Debug)]
pub(super) struct Listing<'a> {
    find: &'a Find,
    /// A list that goes on beyond this many pages never ends.
    most: usize,
    matches: BTreeMap<RemoteKey, Match>,
    /// Each leads to a page of its own.
    tokens: BTreeSet<String>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(find: &'a Find, most: usize) -> Self {
        Self {
            find,
            most,
            matches: BTreeMap::new(),
            tokens: BTreeSet::new(),
        }
    }

    /// Takes one page; it may be empty and yet not the last.
    pub(super) fn page(
        &mut self,
        found: impl IntoIterator<Item = Match>,
        token: Option<String>,
    ) -> Result<Next, Failure> {
        let found = found.into_iter().map(|found| (found.arn.clone(), found));
        self.matches.extend(found);
        if self.matches.len() > MATCHES {
            let fact = format!("`{}` matches more than {MATCHES} secrets", self.find);
            return Err(
                Failure::new(Reason::TooLarge, fact).with_help("narrow `path`, `name` or `tags`")
            );
        }
        if token.as_ref().is_some_and(|token| token.len() > TOKEN) {
            let fact = format!(
                "the list for `{}` goes on by a token larger than any of AWS's",
                self.find
            );
            return Err(Failure::new(Reason::Malformed, fact));
        }
        match token {
            None => Ok(Next::Done(answer_of(std::mem::take(&mut self.matches)))),
            Some(next) if self.tokens.len() + 1 < self.most && self.tokens.insert(next.clone()) => {
                Ok(Next::Page(next))
            }
            Some(_) => Err(Failure::new(
                Reason::Malformed,
                format!("the list for `{}` does not end", self.find),
            )),
        }
    }
}

fn answer_of(matches: BTreeMap<RemoteKey, Match>) -> Answer {
    let mut matches: Vec<Match> = matches.into_values().collect();
    matches.sort();
    Answer {
        identity: Identity::Arns(matches.iter().map(|it| it.arn.to_string()).collect()),
        created: None,
        content: Content::Matches(matches),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Match {
        let key = |text: &str| RemoteKey::new(text).unwrap();
        Match {
            name: key(name),
            arn: key(&format!("arn:{name}")),
        }
    }

    #[test]
    fn an_empty_list_is_an_answer_and_an_empty_page_is_no_end() {
        let find = Find::default();
        let mut listing = Listing::new(&find, 5);
        let next = listing.page([], Some("2".into())).unwrap();
        assert!(matches!(next, Next::Page(token) if token == "2"));
        let Next::Done(answer) = listing.page([], None).unwrap() else {
            panic!("a list without a token ends");
        };
        assert_eq!(answer.identity, Identity::Arns(BTreeSet::new()));
        assert!(matches!(answer.content, Content::Matches(matches) if matches.is_empty()));
    }

    #[test]
    fn matches_of_all_pages_come_once_and_in_order() {
        let find = Find::default();
        let mut listing = Listing::new(&find, 5);
        let _ = listing.page([found("b"), found("a")], Some("2".into()));
        let Next::Done(answer) = listing.page([found("b")], None).unwrap() else {
            panic!("a list without a token ends");
        };
        let wanted = [found("a"), found("b")];
        assert!(matches!(answer.content, Content::Matches(matches) if matches == wanted));
    }

    #[test]
    fn a_list_that_repeats_itself_or_goes_on_and_on_is_malformed() {
        let find = Find::default();
        let mut listing = Listing::new(&find, 5);
        let _ = listing.page([], Some("2".into())).unwrap();
        let failure = listing.page([], Some("2".into())).unwrap_err();
        assert_eq!(failure.reason, Reason::Malformed);
        let mut listing = Listing::new(&find, 2);
        let _ = listing.page([], Some("2".into())).unwrap();
        assert!(listing.page([], Some("3".into())).is_err());
    }

    #[test]
    fn a_huge_token_is_refused() {
        let find = Find::default();
        let mut listing = Listing::new(&find, 10);
        assert!(listing.page([], Some("x".repeat(8 << 20))).is_err());
    }
}
