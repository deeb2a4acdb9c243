//! The inventory in the cluster: read, and written before the objects it names.

use http::Method;
use serde_json::Value as Json;

use super::explain::{self, Asked};
use super::request::{Call, Failure, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::inventory::{Inventory, Key, Location};

/// An inventory, and the ConfigMap it was read from.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) location: Location,
    pub(super) inventory: Inventory,
    /// As the server has it; `None` where it has none.
    config_map: Option<Json>,
}

impl Location {
    fn list_path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", super::discovery::escape(&self.namespace))
    }

    fn path(&self) -> String {
        format!("{}/{}", self.list_path(), super::discovery::escape(&self.name))
    }

    fn key(&self) -> Key {
        Key {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

impl Ledger {
    /// Reads it; without one there are no members.
    pub(super) async fn read(server: &Server, location: Location) -> Result<Self> {
        let config_map = server.find(&location.path()).await;
        let config_map = config_map.map_err(|e| failed(&e, server, &location, "get"))?;
        let inventory = match &config_map {
            Some(config_map) => Inventory::read(config_map, &location)?,
            None => Inventory::default(),
        };
        Ok(Self { location, inventory, config_map })
    }

    /// Whether the server has one.
    pub(super) fn exists(&self) -> bool {
        self.config_map.is_some()
    }

    /// Writes it, unless the server has exactly this; fails where somebody else wrote meanwhile.
    pub(super) async fn write(&mut self, server: &Server) -> Result<()> {
        let next = self.inventory.write(&self.location, self.config_map.as_ref());
        if self.is_written(&next) {
            return Ok(());
        }
        let (method, verb, path) = match self.config_map {
            Some(_) => (Method::PUT, "update", self.location.path()),
            None => (Method::POST, "create", self.location.list_path()),
        };
        let call = Call::send(method, format!("{path}?fieldManager=overlay"), &next);
        let written = server.call(&call).await;
        self.config_map = Some(written.map_err(|e| failed(&e, server, &self.location, verb))?);
        Ok(())
    }

    fn is_written(&self, next: &Json) -> bool {
        let Some(config_map) = &self.config_map else {
            return false;
        };
        let parts = |object: &Json| {
            let metadata = &object["metadata"];
            let parts = [&metadata["labels"], &metadata["annotations"], &object["data"]];
            (parts.map(Json::clone), object["binaryData"].clone())
        };
        parts(config_map) == parts(next)
    }

    /// Deletes it, after its last member.
    pub(super) async fn delete(&mut self, server: &Server) -> Result<()> {
        if !self.exists() {
            return Ok(());
        }
        let call = Call { method: Method::DELETE, ..Call::get(self.location.path()) };
        match server.call(&call).await {
            Ok(_) => {}
            Err(Failure::Status(status)) if status.code == 404 => {}
            Err(failure) => return Err(failed(&failure, server, &self.location, "delete")),
        }
        self.config_map = None;
        Ok(())
    }
}

fn failed(failure: &Failure, server: &Server, location: &Location, verb: &str) -> Error {
    if failure.status().is_some_and(|status| status.code == 409) {
        let message = "somebody else has changed the inventory meanwhile";
        return Error::new(ErrorKind::External, location.place(), message)
            .hint("is another sync running? run it again when that is done");
    }
    let key = location.key();
    let asked = Asked { verb, resource: "configmaps", key: &key, place: None };
    explain::object(failure, server, &asked)
}
