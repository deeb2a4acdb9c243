//! What may be written into the status of a Pod, and what is an address.

use serde_json::{Value, json};

use crate::exchange::Question;

const PODS: &str = "/api/v1/namespaces/fidelity-pods/pods";

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]},
    })
}

fn statuses() -> Vec<Value> {
    let ips = |ips: &[&str]| json!(ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>());
    let pod_ips = |list: &[&str]| json!({"podIPs": ips(list)});
    let host_ips = |list: &[&str]| json!({"hostIPs": ips(list)});
    let condition =
        |name: &str| json!({"conditions": [{"type": name, "status": "True", "reason": "a b"}]});
    let state = |state: Value| json!({"containerStatuses": [{"name": "main", "state": state}]});
    vec![
        json!({"podIP": "other"}),
        json!({"podIP": "10.1.1.1", "podIPs": ips(&["10.1.1.2"])}),
        json!({"podIP": "010.1.1.1"}),
        json!({"podIP": ""}),
        json!({"podIP": "::ffff:10.1.1.1"}),
        pod_ips(&["10.1.1.1", "10.1.1.2"]),
        pod_ips(&["10.1.1.1", "fd00::1"]),
        pod_ips(&["fd00::1", "10.1.1.1"]),
        pod_ips(&["10.1.1.1", "fd00::1", "10.1.1.3"]),
        pod_ips(&["10.1.1.1", "10.1.1.1"]),
        pod_ips(&["", "10.1.1.1"]),
        pod_ips(&["10.1.1.1", "x"]),
        pod_ips(&[]),
        json!({"hostIP": "other"}),
        json!({"hostIP": "10.1.1.1", "hostIPs": ips(&["10.1.1.2"])}),
        json!({"hostIP": "10.1.1.1"}),
        host_ips(&["10.1.1.1"]),
        host_ips(&["10.1.1.1", "10.1.1.2"]),
        host_ips(&["10.1.1.1", "x", "fd00::1"]),
        condition("Ready"),
        condition("ContainersReady"),
        condition("example.org/ok"),
        condition("Not Valid!"),
        condition(""),
        condition("-x"),
        json!({"conditions": [{"type": "A", "status": "True"}, {"type": "A", "status": "Maybe"}]}),
        json!({"nominatedNodeName": "node-1"}),
        json!({"nominatedNodeName": "Not Valid!"}),
        json!({"qosClass": "Guaranteed"}),
        json!({"phase": "Whatever"}),
        json!({"phase": 7}),
        json!({"startTime": "yesterday"}),
        state(json!({"running": {"startedAt": "2019-01-01T00:00:00Z"}})),
        state(json!({"terminated": {"exitCode": 0}})),
        state(json!({"waiting": {"reason": "Slow"}})),
        json!({"resize": "InProgress"}),
        json!({"observedGeneration": -1}),
        json!({"containerStatuses": [{"name": "main", "restartCount": -1}]}),
        json!({"resourceClaimStatuses": [{"name": "none"}]}),
    ]
}

const ADDRESSES: [&str; 16] = [
    "10.1.0.0",
    "127.0.0.1",
    "fe80::1",
    "fd00::",
    "10.1.1.1",
    "010.1.1.1",
    "10.1.1.01",
    "10.1.1.256",
    "10.1.1",
    "::ffff:10.1.1.1",
    "::ffff:10.1.1.01",
    "fd00::0001",
    "fd00::10000",
    "fe80::1%eth0",
    "x",
    "",
];

/// Objects with an address in each place where one may stand.
fn with_addresses() -> impl Iterator<Item = Question> {
    let make = |group: &str, plural: &str, object: Value| {
        let path = format!("{group}/namespaces/fidelity-pods/{plural}?dryRun=All");
        Question::send("POST", path, &object)
    };
    ADDRESSES.into_iter().flat_map(move |ip| {
        let mut aliased = pod();
        aliased["metadata"]["name"] = "aliased".into();
        aliased["spec"]["hostAliases"] = json!([{"ip": ip, "hostnames": ["a"]}]);
        aliased["spec"]["dnsConfig"] = json!({"nameservers": [ip]});
        let service = |spec: Value| {
            let metadata = json!({"name": "web"});
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
        };
        let ports = json!([{"port": 80}]);
        let slice = |family: &str| {
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web"},
                "addressType": family, "endpoints": [{"addresses": [ip]}],
            })
        };
        let endpoints = json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"},
            "subsets": [{"addresses": [{"ip": ip}], "ports": ports}],
        });
        let slices = ["IPv4", "IPv6"].map(|family| {
            make("/apis/discovery.k8s.io/v1", "endpointslices", slice(family))
        });
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
            "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {
                "cidr": format!("{ip}/16"), "except": [format!("{ip}/024"), format!("{ip}/32")],
            }}]}]},
        });
        let policy = make("/apis/networking.k8s.io/v1", "networkpolicies", policy);
        let core = [
            policy,
            make("/api/v1", "pods", aliased),
            make("/api/v1", "services", service(json!({"ports": ports, "externalIPs": [ip]}))),
            make("/api/v1", "services", service(json!({"ports": ports, "clusterIP": ip}))),
            make("/api/v1", "services", service(json!({
                "ports": ports, "type": "LoadBalancer", "loadBalancerIP": ip,
                "loadBalancerSourceRanges": [format!("{ip}/24")],
            }))),
            make("/api/v1", "endpoints", endpoints),
        ];
        core.into_iter().chain(slices)
    })
}

/// Each status for itself, then what a container that has ended may become, and addresses.
pub(crate) fn questions() -> Vec<Question> {
    let patch = |status: &Value, query: &str| Question {
        method: "PATCH",
        path: format!("{PODS}/lone/status?fieldManager=kubelet{query}"),
        content_type: Some("application/merge-patch+json"),
        body: json!({"status": status}).to_string(),
        ..Question::default()
    };
    let mut questions = vec![Question::send("POST", PODS, &pod())];
    questions.extend(statuses().iter().map(|status| patch(status, "&dryRun=All")));
    let ended = json!({
        "podIP": "10.1.1.1",
        "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 1}}}],
    });
    questions.push(patch(&ended, ""));
    questions.extend(statuses().iter().map(|status| patch(status, "&dryRun=All")));
    questions.extend(with_addresses());
    questions
}
