//! What an inventory's members are like now, and their end.

use std::time::Duration;

use super::apply::Outcome;
use super::ask::present;
use super::discovery::Kinds;
use super::ledger::Ledger;
use super::request::Server;
use super::{Listener, explain, prune};
use crate::error::Result;
use crate::health::{Health, Status, health};
use crate::inventory::{Inventory, Key, Location, Member};
use crate::plan::{self, Action, Fate, Plan};

/// A member and how it is.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Which object.
    pub key: Key,
    /// What is known about it.
    pub member: Member,
    /// How it is.
    pub health: Health,
    /// When it was made, as the server writes times; empty where it is missing.
    pub created: String,
}

/// The members of an inventory as they are now; `None` where there is no inventory.
///
/// # Errors
/// Where the server cannot be asked.
pub async fn survey(server: &Server, location: &Location) -> Result<Option<Vec<Standing>>> {
    let Some((ledger, kinds)) = open(server, location).await? else {
        return Ok(None);
    };
    let mut live = present(server, &kinds, ledger.inventory.members.iter()).await?;
    let standing = |(key, member): (Key, Member)| {
        let live = live.remove(&key);
        let created = live.as_ref().and_then(|live| live["metadata"]["creationTimestamp"].as_str());
        let created = created.unwrap_or_default().to_owned();
        let is_other = live.as_ref().is_some_and(|live| {
            member.uid.as_deref().is_some_and(|uid| live["metadata"]["uid"] != uid)
        });
        let health = match &live {
            None => Health::missing(),
            Some(_) if is_other => Health {
                status: Status::Missing,
                message: "somebody has deleted it and made a new one".into(),
            },
            Some(live) => health(live),
        };
        Standing { key, member, health, created }
    };
    Ok(Some(ledger.inventory.members.into_iter().map(standing).collect()))
}

async fn open(server: &Server, location: &Location) -> Result<Option<(Ledger, Kinds)>> {
    let lost = |failure| explain::connection(&failure, &server.address, server.context.as_deref());
    let kinds = Kinds::discover(server).await.map_err(lost)?;
    let ledger = Ledger::read(server, location.clone()).await?;
    Ok(ledger.exists().then_some((ledger, kinds)))
}

/// What a deletion would do.
pub struct Teardown {
    /// What becomes of each member; there are no stages.
    pub plan: Plan,
    ledger: Ledger,
    kinds: Kinds,
}

impl Teardown {
    /// Looks at all members; `None` where there is no inventory.
    ///
    /// # Errors
    /// Where the server cannot be asked.
    pub async fn review(server: &Server, location: &Location) -> Result<Option<Self>> {
        let Some((ledger, kinds)) = open(server, location).await? else {
            return Ok(None);
        };
        let live = present(server, &kinds, ledger.inventory.members.iter()).await?;
        let plan = plan::plan(&[], Vec::new(), &ledger.inventory, &live, &location.id());
        Ok(Some(Self { plan, ledger, kinds }))
    }

    /// What is known of the set.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.ledger.inventory
    }
}

/// Deletes the members, and the inventory where all of them could be.
///
/// # Errors
/// Where the inventory cannot be written.
pub async fn tear_down(
    server: &Server,
    mut teardown: Teardown,
    wait: Option<Duration>,
    listener: &Listener<'_>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let prunes = std::mem::take(&mut teardown.plan.prunes);
    for (key, error) in prune::prune(server, &teardown.kinds, &prunes, listener).await {
        match error {
            None => drop(teardown.ledger.inventory.members.remove(&key)),
            Some(error) => outcome.failures.push(error),
        }
    }
    let members = &teardown.ledger.inventory.members;
    let deleted = prunes.iter().filter(|prune| matches!(prune.fate, Fate::Deleted(_)));
    let deleted: Vec<_> = deleted.filter(|prune| !members.contains_key(&prune.key)).collect();
    outcome.counts.insert(Action::Pruned, deleted.len());
    match teardown.ledger.inventory.members.is_empty() {
        true => teardown.ledger.delete(server).await?,
        false => teardown.ledger.write(server).await?,
    }
    if let Some(limit) = wait {
        let keys: Vec<_> = deleted.iter().map(|p| (&p.key, p.member.version.as_str())).collect();
        let left = prune::gone(server, &teardown.kinds, &keys, limit).await;
        let late = left.into_iter().map(|key| {
            let message = "is still there; something holds it (finalizers?)".into();
            (key, Health { status: Status::Terminating, message })
        });
        outcome.unhealthy.extend(late);
    }
    Ok(outcome)
}
