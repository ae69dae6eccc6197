//! Who is who in Slack: owners, admins, bots and user groups, read from time to time, as lists for rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::state::Shared;
use crate::event::time::MICROS;
use crate::list::dynamic::{self, Change};
use crate::slack::directory::{Group, Listed, Member};
use crate::slack::{self, Client};
use crate::store::{self, Reader, Store};

pub(super) struct Directory {
    pub client: Client,
    /// From one reading to the next, in microseconds.
    pub every: i64,
    pub store: Arc<Store>,
    pub reader: Reader,
    pub shared: Arc<Shared>,
}

/// After a failure it is read again after so long, in microseconds.
const RETRY: i64 = 60 * MICROS;
/// How long to wait between two calls: Slack allows 100 a minute of the first, and 20 of the others.
const PACE_ADMIN: i64 = MICROS;
const PACE: i64 = 4 * MICROS;

/// What a list should hold from now on.
type Members = BTreeMap<String, BTreeSet<String>>;

/// Why a list was not read.
enum Missing {
    Failed(slack::Error),
    /// The service ends.
    Stopped,
}

impl From<slack::Error> for Missing {
    fn from(error: slack::Error) -> Self {
        Self::Failed(error)
    }
}

impl Directory {
    pub fn run(self) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|_| Error::Gone("directory".to_owned()))?;
        runtime.block_on(self.read_again_and_again());
        Ok(())
    }

    async fn read_again_and_again(&self) {
        while !self.shared.is_stopping() {
            let begun = self.shared.clock.steady();
            let people = self.people().await;
            let groups = self.groups().await;
            let mut is_whole = true;
            for (what, read) in [("people", people), ("user groups", groups)] {
                is_whole &= self.take(what, read);
            }
            let wait = if is_whole {
                self.every
            } else {
                RETRY.min(self.every)
            };
            self.wait(begun + wait);
        }
    }

    /// Enters what was read; false if it is to be read again soon. What Slack refuses for good, or does
    /// not know, is not.
    fn take(&self, what: &str, read: Result<Members, Missing>) -> bool {
        let entered = match read {
            Ok(members) => self
                .enter(members)
                .map_err(|error| (error.to_string(), false)),
            Err(Missing::Stopped) => return true,
            Err(Missing::Failed(error)) => {
                let is_final = error.is_unknown_here() || error.is_unauthorised();
                Err((error.to_string(), is_final))
            }
        };
        let reason = entered.as_ref().err().map(|(reason, _)| reason.clone());
        self.shared.set_amiss(&format!("Slack's {what}"), reason);
        entered.map_or_else(|(_, is_final)| is_final, |()| true)
    }

    /// Enters how the lists have changed.
    fn enter(&self, lists: Members) -> Result<(), store::Error> {
        for (list, members) in lists {
            let before = self.reader.members(&list)?;
            let Some(Change { added, removed }) = Change::between(before.as_ref(), &members) else {
                continue;
            };
            let now = self.shared.clock.now();
            self.store.enter_list_change(&list, &added, &removed, now)?;
        }
        Ok(())
    }

    /// Owners, admins and bots: of the whole organisation, else of what the token sees.
    async fn people(&self) -> Result<Members, Missing> {
        let of_organisation = self.all_pages(PACE_ADMIN, async |cursor| {
            self.client.admin_users(cursor).await
        });
        let members = match of_organisation.await {
            Err(Missing::Failed(error)) if error.is_unknown_here() => {
                let seen = self.all_pages(PACE, async |cursor| self.client.users(cursor).await);
                seen.await?
            }
            read => read?,
        };
        let ids = |wanted: fn(&Member) -> bool| {
            let there = members.iter().filter(|member| !member.is_deleted);
            let ids = there.filter(|member| wanted(member));
            ids.map(|member| member.id.clone()).collect()
        };
        Ok(Members::from([
            (dynamic::OWNERS.to_owned(), ids(|member| member.is_owner)),
            (dynamic::ADMINS.to_owned(), ids(|member| member.is_admin)),
            (dynamic::BOTS.to_owned(), ids(|member| member.is_bot)),
        ]))
    }

    /// User groups, a list each; one that is gone is empty.
    async fn groups(&self) -> Result<Members, Missing> {
        let groups = self.until_stopped(self.client.user_groups()).await?;
        let mut lists = Members::new();
        let known = self.reader.list_names().unwrap_or_default().into_iter();
        let known = known.filter(|name| name.starts_with(dynamic::GROUP));
        lists.extend(known.map(|name| (name, BTreeSet::new())));
        for Group { handle, users, .. } in groups {
            let list = lists.entry(dynamic::of_group(&handle)).or_default();
            list.extend(users);
        }
        Ok(lists)
    }

    async fn all_pages<T>(
        &self,
        pace: i64,
        page: impl AsyncFn(Option<&str>) -> Result<Listed<T>, slack::Error>,
    ) -> Result<Vec<T>, Missing> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let listed = match self.until_stopped(page(cursor.as_deref())).await {
                Err(Missing::Failed(slack::Error::RateLimited {
                    retry_after_secs, ..
                })) => {
                    let wait =
                        i64::try_from(retry_after_secs).unwrap_or(i64::MAX / MICROS) * MICROS;
                    self.wait(self.shared.clock.steady().saturating_add(wait));
                    continue;
                }
                listed => listed?,
            };
            items.extend(listed.items);
            match listed.next_cursor {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(items),
            }
            self.wait(self.shared.clock.steady() + pace);
        }
    }

    async fn until_stopped<T>(
        &self,
        call: impl Future<Output = Result<T, slack::Error>>,
    ) -> Result<T, Missing> {
        let stopped = async {
            while !self.shared.is_stopping() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            answer = call => Ok(answer?),
            () = stopped => Err(Missing::Stopped),
        }
    }

    fn wait(&self, until: i64) {
        while self.shared.clock.steady() < until && !self.shared.is_stopping() {
            self.shared.clock.pause(until);
        }
    }
}
