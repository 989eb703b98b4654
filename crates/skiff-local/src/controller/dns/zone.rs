//! Every name of the cluster with its records, as Kubernetes' DNS specification has them.
//!
//! Pure: built anew from all objects whenever one changes.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use hickory_proto::rr::{
    Name, RData, RecordType,
    rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT},
};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints, Namespace, Service};
use kube::ResourceExt;

use super::DOMAIN;
use crate::address::ClusterRange;

/// How long an answer may be kept, in seconds: pods come and go under the same names.
pub(super) const TTL: u32 = 5;
/// How long it may be kept that there is no such name, in seconds.
pub(super) const NEGATIVE_TTL: u32 = 1;
/// The version of the specification that is told.
const SPECIFICATION: &str = "1.1.0";

/// What the API server shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    pub(super) services: Vec<Arc<Service>>,
    pub(super) endpoints: Vec<Arc<Endpoints>>,
    pub(super) namespaces: Vec<Arc<Namespace>>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It is no name of the cluster's.
    Outside,
    /// There is no such name.
    Missing,
    /// It exists and has these records, perhaps none.
    Records(Vec<RData>),
}

/// All names.
#[derive(Debug)]
pub(super) struct Zone {
    range: ClusterRange,
    domain: Name,
    /// The reverse names of all addresses of the cluster.
    reverse: Name,
    pods: Name,
    names: HashMap<Name, Vec<RData>>,
}

impl Zone {
    pub(super) fn new(range: ClusterRange, objects: &Objects) -> Self {
        let domain = name(&format!("{DOMAIN}."));
        let [first, second, ..] = range.host_address().octets();
        let mut zone = Self {
            range,
            reverse: name(&format!("{second}.{first}.in-addr.arpa.")),
            pods: child(&domain, "pod"),
            domain,
            names: HashMap::new(),
        };
        zone.own();
        for namespace in &objects.namespaces {
            for branch in ["svc", "pod"] {
                zone.exists(child(&child(&zone.domain, branch), &namespace.name_any()));
            }
        }
        let endpoints: BTreeMap<_, &Endpoints> = objects
            .endpoints
            .iter()
            .map(|endpoints| ((endpoints.namespace(), endpoints.name_any()), &**endpoints))
            .collect();
        for service in &objects.services {
            let key = (service.namespace(), service.name_any());
            zone.service(service, endpoints.get(&key).copied());
        }
        zone
    }

    /// The zone's name that a name belongs to, if it is one of the cluster's.
    pub(super) fn apex(&self, name: &Name) -> Option<&Name> {
        [&self.domain, &self.reverse]
            .into_iter()
            .find(|apex| apex.zone_of(name))
    }

    /// The start of authority that negative answers carry.
    pub(super) fn authority(&self) -> RData {
        let server = child(&child(&self.domain, "dns"), "ns");
        let mailbox = child(&self.domain, "hostmaster");
        RData::SOA(SOA::new(
            server,
            mailbox,
            1,
            7200,
            1800,
            86_400,
            NEGATIVE_TTL,
        ))
    }

    /// Looks a name up.
    pub(super) fn find(&self, name: &Name) -> Found {
        if self.apex(name).is_none() {
            return Found::Outside;
        }
        if let Some(records) = self.names.get(name) {
            return Found::Records(records.clone());
        }
        match self.pod(name) {
            Some(address) => Found::Records(vec![RData::A(A(address))]),
            None => Found::Missing,
        }
    }

    /// The addresses of a name, to go along with an answer that names it.
    pub(super) fn addresses(&self, name: &Name) -> Vec<RData> {
        let mut records = self.names.get(name).cloned().unwrap_or_default();
        records.retain(|data| matches!(data.record_type(), RecordType::A | RecordType::AAAA));
        records
    }

    /// `10-1-2-3.<namespace>.pod`: the name says the address, whether or not there is such a pod.
    fn pod(&self, name: &Name) -> Option<Ipv4Addr> {
        let namespace = name.base_name();
        if namespace.base_name() != self.pods || !self.names.contains_key(&namespace) {
            return None;
        }
        let label = String::from_utf8_lossy(name.iter().next()?).into_owned();
        let address: Ipv4Addr = label.replace('-', ".").parse().ok()?;
        self.range.all().contains(address).then_some(address)
    }

    /// The names of the zone and its server.
    fn own(&mut self) {
        let server = child(&child(&self.domain, "dns"), "ns");
        let (authority, domain, reverse) =
            (self.authority(), self.domain.clone(), self.reverse.clone());
        for apex in [domain.clone(), reverse] {
            self.add(apex.clone(), authority.clone());
            self.add(apex, RData::NS(NS(server.clone())));
        }
        self.add(server, RData::A(A(self.range.dns_service())));
        let version = TXT::new(vec![SPECIFICATION.to_owned()]);
        self.add(child(&domain, "dns-version"), RData::TXT(version));
        for branch in ["svc", "pod"] {
            self.exists(child(&domain, branch));
        }
    }

    fn service(&mut self, service: &Service, endpoints: Option<&Endpoints>) {
        let Some(spec) = &service.spec else { return };
        let namespace = service.namespace().unwrap_or_default();
        let services = child(&self.domain, "svc");
        let own = child(&child(&services, &namespace), &service.name_any());
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.as_deref().unwrap_or_default();
            if let Some(target) = absolute(target) {
                self.add(own, RData::CNAME(CNAME(target)));
            }
            return;
        }
        let address = spec.cluster_ip.as_deref().unwrap_or_default();
        if address == "None" {
            self.exists(own.clone());
            let not_ready = spec.publish_not_ready_addresses == Some(true);
            self.headless(&own, endpoints, not_ready);
            return;
        }
        let more = spec.cluster_ips.iter().flatten().map(String::as_str);
        let addresses = std::iter::once(address).chain(more);
        for address in addresses.filter_map(|address| address.parse().ok()) {
            self.address(&own, address);
            self.points_back(address, &own);
        }
        for port in spec.ports.iter().flatten() {
            let protocol = port.protocol.as_deref();
            self.port(&own, port.name.as_deref(), protocol, port.port, &own);
        }
    }

    /// A Service without an address of its own: its name has those of its pods, and each has a name.
    fn headless(&mut self, own: &Name, endpoints: Option<&Endpoints>, not_ready: bool) {
        let subsets = endpoints.and_then(|endpoints| endpoints.subsets.as_ref());
        for subset in subsets.into_iter().flatten() {
            let pending = subset.not_ready_addresses.iter().filter(|_| not_ready);
            let ports: &[EndpointPort] = subset.ports.as_deref().unwrap_or_default();
            for endpoint in subset.addresses.iter().chain(pending).flatten() {
                let Ok(address) = endpoint.ip.parse() else {
                    continue;
                };
                let pod = child(own, &host_label(endpoint));
                self.address(own, address);
                self.address(&pod, address);
                self.points_back(address, &pod);
                for port in ports {
                    let protocol = port.protocol.as_deref();
                    self.port(own, port.name.as_deref(), protocol, port.port, &pod);
                }
            }
        }
    }

    /// The service record of a named port.
    fn port(
        &mut self,
        own: &Name,
        port_name: Option<&str>,
        protocol: Option<&str>,
        port: i32,
        target: &Name,
    ) {
        let protocol = protocol.unwrap_or("TCP").to_lowercase();
        let (Some(port_name), Ok(port)) = (port_name, u16::try_from(port)) else {
            return;
        };
        if port_name.is_empty() {
            return;
        }
        let owner = child(
            &child(own, &format!("_{protocol}")),
            &format!("_{port_name}"),
        );
        self.add(owner, RData::SRV(SRV::new(0, 100, port, target.clone())));
    }

    fn address(&mut self, owner: &Name, address: IpAddr) {
        let data = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.add(owner.clone(), data);
    }

    fn points_back(&mut self, address: IpAddr, target: &Name) {
        let owner = Name::from(address);
        if self.reverse.zone_of(&owner) {
            self.add(owner, RData::PTR(PTR(target.clone())));
        }
    }

    fn add(&mut self, owner: Name, data: RData) {
        self.exists(owner.clone());
        let records = self.names.entry(owner).or_default();
        if !records.contains(&data) {
            records.push(data);
        }
    }

    /// Notes a name and those above it: they exist even if they have no records.
    fn exists(&mut self, owner: Name) {
        let mut next = owner;
        while self.apex(&next).is_some() && !self.names.contains_key(&next) {
            let above = next.base_name();
            self.names.insert(next, Vec::new());
            next = above;
        }
    }
}

/// A pod's own label below its Service: its hostname, else its address.
fn host_label(endpoint: &EndpointAddress) -> String {
    match &endpoint.hostname {
        Some(hostname) if !hostname.is_empty() => hostname.clone(),
        _ => endpoint.ip.replace(['.', ':'], "-"),
    }
}

fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok().filter(|name| !name.is_root())?;
    name.set_fqdn(true);
    Some(name)
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("the zone's own names are short")
}

/// A name below another. Kubernetes' own checks keep labels short; one that is not leaves the name above.
fn child(above: &Name, label: &str) -> Name {
    above
        .prepend_label(label.as_bytes())
        .unwrap_or_else(|_| above.clone())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed<K: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<Arc<K>> {
        let parse = |value: &Value| Arc::new(serde_json::from_value(value.clone()).unwrap());
        values.iter().map(parse).collect()
    }

    fn metadata(name: &str) -> Value {
        json!({"name": name, "namespace": "default"})
    }

    /// A Service of each kind.
    pub(crate) fn zone() -> Zone {
        let services = parsed(&[
            json!({"metadata": metadata("web"), "spec": {
                "clusterIP": "10.200.64.7",
                "ports": [{"name": "http", "port": 80}, {"port": 9}],
            }}),
            json!({"metadata": metadata("gang"), "spec": {
                "clusterIP": "None", "publishNotReadyAddresses": true,
            }}),
            json!({"metadata": metadata("ready"), "spec": {"clusterIP": "None"}}),
            json!({"metadata": metadata("empty"), "spec": {"clusterIP": "None"}}),
            json!({"metadata": metadata("alias"), "spec": {
                "type": "ExternalName", "externalName": "web.default.svc.cluster.local",
            }}),
            json!({"metadata": metadata("out"), "spec": {
                "type": "ExternalName", "externalName": "example.com.",
            }}),
            json!({"metadata": metadata("loop"), "spec": {
                "type": "ExternalName", "externalName": "loop.default.svc.cluster.local",
            }}),
        ]);
        let subsets = json!([{
            "addresses": [{"ip": "10.200.129.5", "hostname": "head"}],
            "notReadyAddresses": [{"ip": "10.200.130.6"}],
            "ports": [{"name": "ssh", "port": 22, "protocol": "TCP"}],
        }]);
        let endpoints = parsed(&[
            json!({"metadata": metadata("gang"), "subsets": subsets}),
            json!({"metadata": metadata("ready"), "subsets": subsets}),
        ]);
        let namespaces = parsed(&[json!({"metadata": {"name": "default"}})]);
        let objects = Objects {
            services,
            endpoints,
            namespaces,
        };
        Zone::new(ClusterRange::choose(&[]).unwrap(), &objects)
    }

    /// The records of a name in the text of zone files, sorted; None where there is no such name.
    fn records(text: &str) -> Option<Vec<String>> {
        match zone().find(&Name::from_ascii(text).unwrap()) {
            Found::Records(records) => {
                let text = |data: &RData| format!("{} {data}", data.record_type());
                let mut texts: Vec<String> = records.iter().map(text).collect();
                texts.sort();
                Some(texts)
            }
            Found::Missing => None,
            Found::Outside => panic!("{text} is outside"),
        }
    }

    fn of(service: &str) -> Option<Vec<String>> {
        records(&format!("{service}.default.svc.cluster.local."))
    }

    #[test]
    fn a_service_has_its_address_and_its_ports() {
        assert_eq!(of("web").unwrap(), ["A 10.200.64.7"]);
        let port = ["SRV 0 100 80 web.default.svc.cluster.local."];
        assert_eq!(of("_http._tcp.web").unwrap(), port);
        assert_eq!(of("_tcp.web").unwrap(), [""; 0]);
        let back = ["PTR web.default.svc.cluster.local."];
        assert_eq!(records("7.64.200.10.in-addr.arpa.").unwrap(), back);
    }

    #[test]
    fn a_headless_service_has_its_ready_pods() {
        assert_eq!(of("ready").unwrap(), ["A 10.200.129.5"]);
        assert_eq!(of("head.ready").unwrap(), ["A 10.200.129.5"]);
        assert_eq!(of("10-200-130-6.ready"), None);
    }

    #[test]
    fn pods_that_are_not_ready_are_named_where_the_service_says_so() {
        assert_eq!(of("gang").unwrap(), ["A 10.200.129.5", "A 10.200.130.6"]);
        assert_eq!(of("10-200-130-6.gang").unwrap(), ["A 10.200.130.6"]);
        let ports = of("_ssh._tcp.gang").unwrap();
        assert_eq!(
            ports,
            [
                "SRV 0 100 22 10-200-130-6.gang.default.svc.cluster.local.",
                "SRV 0 100 22 head.gang.default.svc.cluster.local.",
            ]
        );
        let back = records("6.130.200.10.in-addr.arpa.").unwrap();
        assert_eq!(back, ["PTR 10-200-130-6.gang.default.svc.cluster.local."]);
    }

    #[test]
    fn a_headless_service_without_pods_exists() {
        assert_eq!(of("empty").unwrap(), [""; 0]);
        assert_eq!(of("nosuch"), None);
        assert_eq!(of("nosuch.empty"), None);
    }

    #[test]
    fn names_are_alike_in_upper_and_lower_case() {
        assert_eq!(of("WEB").unwrap(), ["A 10.200.64.7"]);
    }

    #[test]
    fn an_external_name_is_an_alias() {
        assert_eq!(of("out").unwrap(), ["CNAME example.com."]);
        assert_eq!(
            of("alias").unwrap(),
            ["CNAME web.default.svc.cluster.local."]
        );
    }

    #[test]
    fn a_pods_name_says_its_address() {
        let pod = |name: &str| records(&format!("{name}.pod.cluster.local."));
        assert_eq!(pod("10-200-129-9.default").unwrap(), ["A 10.200.129.9"]);
        for missing in [
            "10-200-129-9.nosuch",
            "192-0-2-1.default",
            "10-200-129.default",
            "x.default",
        ] {
            assert_eq!(pod(missing), None, "{missing}");
        }
    }

    #[test]
    fn namespaces_exist_and_the_rest_is_outside() {
        assert_eq!(records("default.svc.cluster.local.").unwrap(), [""; 0]);
        assert_eq!(records("nosuch.svc.cluster.local."), None);
        assert_eq!(records("9.9.200.10.in-addr.arpa."), None);
        for outside in [
            "example.com.",
            "local.",
            "mycluster.local.",
            "1.2.0.192.in-addr.arpa.",
            ".",
        ] {
            let found = zone().find(&Name::from_ascii(outside).unwrap());
            assert_eq!(found, Found::Outside, "{outside}");
        }
    }
}
