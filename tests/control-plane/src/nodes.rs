//! What makes Deployments become ready without a machine to run them: kube-controller-manager makes the Pods,
//! kube-scheduler places them, and kwok says that they run.

use std::process::Command;

use serde_json::json;

use crate::error::Result;
use crate::plane::{ControlPlane, READY, condition, flag, free_ports};
use crate::programs::{self, Programs};
use crate::request::wait;

/// The pretended node; kwok gives it room for everything.
const NODE: &str = "node-0";

pub(crate) fn start_controllers(plane: &ControlPlane) -> Result<()> {
    let name = "kube-controller-manager";
    plane.group.start(
        name,
        Command::new(plane.programs.program(name))
            .arg(flag("--kubeconfig", plane.kubeconfig()))
            .arg(flag("--service-account-private-key-file", &plane.identity.service_account_key))
            .arg(flag("--root-ca-file", &plane.identity.ca_file))
            // A busy machine lets kwok's sign of life come late; the Pods of a node that is thought dead
            // are not ready for a while.
            .arg("--node-monitor-grace-period=24h")
            .args(["--leader-elect=false", "--secure-port=0"]),
    )?;
    // The first thing it makes in a new cluster, and what Pods wait for.
    let sign = "/api/v1/namespaces/default/serviceaccounts/default";
    wait("a service account by kube-controller-manager", READY, || {
        plane.group.check(name)?;
        Ok(plane.requests.get(sign).ok())
    })?;
    Ok(())
}

pub(crate) fn start_nodes(plane: &ControlPlane) -> Result<()> {
    let programs = Programs::build(programs::NODES)?;
    start_scheduler(plane)?;
    start_kwok(plane, &programs)?;
    let path = format!("/api/v1/nodes/{NODE}");
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
    });
    plane.requests.apply(&path, node.to_string())?;
    wait("a ready node", READY, || {
        plane.group.check("kwok")?;
        plane.group.check("kube-scheduler")?;
        let node = plane.requests.get(&path)?;
        // The taint of a new node goes a moment after it became ready.
        Ok((condition(&node, "Ready") && node["spec"]["taints"].is_null()).then_some(()))
    })
}

fn start_scheduler(plane: &ControlPlane) -> Result<()> {
    let name = "kube-scheduler";
    plane.group.start(
        name,
        Command::new(plane.programs.program(name))
            .arg(flag("--kubeconfig", plane.kubeconfig()))
            .args(["--leader-elect=false", "--secure-port=0"]),
    )
}

fn start_kwok(plane: &ControlPlane, programs: &Programs) -> Result<()> {
    let [port] = free_ports()?;
    let stages = programs.stages()?;
    plane.group.start(
        "kwok",
        Command::new(programs.program("kwok"))
            .args(stages.iter().map(|file| flag("--config", file)))
            .arg(flag("--kubeconfig", plane.kubeconfig()))
            .args(["--manage-all-nodes", "--node-ip=127.0.0.1", "--cidr=10.1.0.0/16"])
            .arg(format!("--server-address=127.0.0.1:{port}")),
    )
}
