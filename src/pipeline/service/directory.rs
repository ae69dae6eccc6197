//! Who is who in Slack: owners, admins, bots and user groups, read from time to time, as lists for rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};
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
    /// Workspaces to ask about; none for that of the token.
    pub teams: Vec<String>,
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
        let mut due = [i64::MIN; 2];
        while !self.shared.is_stopping() {
            let now = self.shared.clock.steady();
            if due[0] <= now {
                due[0] = now + self.take("people", self.people().await);
            }
            if due[1] <= now {
                due[1] = now + self.take("user groups", self.groups().await);
            }
            self.wait(due[0].min(due[1]));
        }
    }

    /// Enters what was read; gives how long to wait before it is read again. What Slack refuses is not
    /// asked for again soon.
    fn take(&self, what: &str, read: Result<Members, Missing>) -> i64 {
        let entered = match read {
            Ok(members) => self
                .enter(members)
                .map_err(|error| (error.to_string(), true)),
            Err(Missing::Stopped) => return self.every,
            Err(Missing::Failed(error)) => {
                let is_refused =
                    error.is_unauthorised() || matches!(error, slack::Error::Refused { .. });
                Err((error.to_string(), !is_refused))
            }
        };
        let reason = entered.as_ref().err().map(|(reason, _)| reason.clone());
        self.shared.set_amiss(&format!("Slack's {what}"), reason);
        match entered {
            Err((_, true)) => RETRY.min(self.every),
            _ => self.every,
        }
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
                let mut seen = Vec::new();
                for team in self.teams() {
                    let page = async |cursor: Option<&str>| self.client.users(team, cursor).await;
                    seen.extend(self.all_pages(PACE, page).await?);
                }
                seen
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

    /// User groups, a list each; one that is gone is empty. Where several would share a list it stays as it
    /// was: whoever may make groups could put himself into it.
    async fn groups(&self) -> Result<Members, Missing> {
        let mut lists = Members::new();
        let known = self.reader.list_names().unwrap_or_default().into_iter();
        let known = known.filter(|name| name.starts_with(dynamic::GROUP));
        lists.extend(known.map(|name| (name, BTreeSet::new())));
        let mut of_list: BTreeMap<String, String> = BTreeMap::new();
        let mut shared = BTreeSet::new();
        for team in self.teams() {
            let page = async |_: Option<&str>| {
                let items = self.client.user_groups(team).await?;
                let next_cursor = None;
                Ok(Listed { items, next_cursor })
            };
            for Group { id, handle, users } in self.all_pages(PACE, page).await? {
                let list = dynamic::of_group(&handle);
                let first = of_list.entry(list.clone()).or_insert_with(|| id.clone());
                if *first != id {
                    shared.insert(list.clone());
                }
                lists.entry(list).or_default().extend(users);
            }
        }
        lists.retain(|list, _| !shared.contains(list));
        let reason = (!shared.is_empty()).then(|| {
            let shared: Vec<String> = shared.into_iter().collect();
            format!(
                "several user groups would make up {}, which stays as it was: rename their handles",
                shared.join(", ")
            )
        });
        self.shared
            .set_amiss("handles of Slack's user groups", reason);
        Ok(lists)
    }

    /// The workspaces to ask about; `None` is that of the token.
    fn teams(&self) -> Vec<Option<&str>> {
        match self.teams.as_slice() {
            [] => vec![None],
            teams => teams.iter().map(|team| Some(team.as_str())).collect(),
        }
    }

    async fn all_pages<T>(
        &self,
        pace: i64,
        page: impl AsyncFn(Option<&str>) -> Result<Listed<T>, slack::Error>,
    ) -> Result<Vec<T>, Missing> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let mut seen = HashSet::new();
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
            self.wait(self.shared.clock.steady() + pace);
            let Some(next) = listed.next_cursor else {
                return Ok(items);
            };
            if !seen.insert(next.clone()) {
                // Half a list would take people out of it.
                return Err(Missing::Failed(slack::Error::Malformed {
                    method: "a list of people".to_owned(),
                    reason: "its pages come again and again".to_owned(),
                }));
            }
            cursor = Some(next);
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
