//! How pods reach the names: the Service `kube-dns` and where it leads.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::sync::Mutex;

use super::{
    super::{Log, NAME},
    zone::Objects,
};
use crate::cluster::Cluster;

/// Where the Service is, under the name that everybody looks for.
pub(crate) const NAMESPACE: &str = "kube-system";
pub(crate) const SERVICE: &str = "kube-dns";
/// The mark of objects that are Skiff's own.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const PORT: u16 = 53;

/// The Service and its Endpoints, kept as they are to be.
pub(super) struct Front {
    services: Api<Service>,
    endpoints: Api<Endpoints>,
    wanted_service: Service,
    wanted_endpoints: Endpoints,
    /// The last line about it, so that none is repeated.
    said: Mutex<String>,
}

impl Front {
    pub(super) fn new(cluster: &Cluster, client: &Client, port: u16) -> Self {
        let range = cluster.record.range;
        let expectation = "the object is of this type, as the tests show";
        let service = service(&range.dns_service().to_string());
        let endpoints = endpoints(&range.host_address().to_string(), port);
        Self {
            services: Api::namespaced(client.clone(), NAMESPACE),
            endpoints: Api::namespaced(client.clone(), NAMESPACE),
            wanted_service: serde_json::from_value(service).expect(expectation),
            wanted_endpoints: serde_json::from_value(endpoints).expect(expectation),
            said: Mutex::default(),
        }
    }

    /// Makes or mends what differs. A Service of that name that is another's stays as it is.
    pub(super) async fn show(&self, objects: &Objects, log: Log<'_>) {
        let service = objects
            .services
            .iter()
            .find(|service| is_ours(&service.metadata));
        let endpoints = objects
            .endpoints
            .iter()
            .find(|endpoints| is_ours(&endpoints.metadata));
        if let Some(service) = service
            && !is_managed(service)
        {
            self.say(log, "another kube-dns is there, and is left alone");
            return;
        }
        let made = async {
            if !service.is_some_and(|service| same_service(service, &self.wanted_service)) {
                apply(&self.services, &self.wanted_service).await?;
            }
            if !endpoints.is_some_and(|found| found.subsets == self.wanted_endpoints.subsets) {
                apply(&self.endpoints, &self.wanted_endpoints).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match made.await {
            Ok(()) => self.say(log, "names are served"),
            Err(error) => self.say(log, &format!("cannot make the Service {SERVICE}: {error}")),
        }
    }

    fn say(&self, log: Log<'_>, line: &str) {
        let Ok(mut said) = self.said.lock() else {
            return;
        };
        if *said != line {
            line.clone_into(&mut said);
            log(line);
        }
    }
}

fn is_ours(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> bool {
    metadata.name.as_deref() == Some(SERVICE) && metadata.namespace.as_deref() == Some(NAMESPACE)
}

fn is_managed(service: &Service) -> bool {
    let labels = service.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .map(String::as_str)
        == Some(NAME)
}

fn same_service(found: &Service, wanted: &Service) -> bool {
    let facts = |service: &Service| {
        let spec = service.spec.clone().unwrap_or_default();
        let ports = spec.ports.unwrap_or_default();
        let ports: Vec<_> = ports
            .into_iter()
            .map(|port| (port.name, port.port, port.protocol))
            .collect();
        (spec.cluster_ip, ports, spec.selector)
    };
    facts(found) == facts(wanted)
}

async fn apply<K>(api: &Api<K>, object: &K) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let params = PatchParams::apply(NAME).force();
    api.patch(SERVICE, &params, &Patch::Apply(object)).await?;
    Ok(())
}

fn metadata() -> Value {
    json!({
        "name": SERVICE,
        "namespace": NAMESPACE,
        "labels": {
            "k8s-app": "kube-dns",
            "kubernetes.io/cluster-service": "true",
            "kubernetes.io/name": "KubeDNS",
            MANAGED_BY: NAME,
        },
    })
}

/// Without a selector: no pod serves it.
fn service(address: &str) -> Value {
    json!({
        "metadata": metadata(),
        "spec": {
            "clusterIP": address,
            "ports": [
                {"name": "dns", "port": PORT, "protocol": "UDP", "targetPort": PORT},
                {"name": "dns-tcp", "port": PORT, "protocol": "TCP", "targetPort": PORT},
            ],
        },
    })
}

fn endpoints(address: &str, port: u16) -> Value {
    json!({
        "metadata": metadata(),
        "subsets": [{
            "addresses": [{"ip": address}],
            "ports": [
                {"name": "dns", "port": port, "protocol": "UDP"},
                {"name": "dns-tcp", "port": port, "protocol": "TCP"},
            ],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service_of(address: &str) -> Service {
        serde_json::from_value(service(address)).unwrap()
    }

    #[test]
    fn the_objects_are_of_their_types_and_known_again() {
        let wanted = service_of("10.200.64.10");
        assert!(is_ours(&wanted.metadata) && is_managed(&wanted));
        let mut found = wanted.clone();
        found.spec.as_mut().unwrap().session_affinity = Some("None".to_owned());
        assert!(same_service(&found, &wanted));
        assert!(!same_service(&service_of("10.200.64.11"), &wanted));
        let endpoints: Endpoints = serde_json::from_value(endpoints("10.200.0.1", 1)).unwrap();
        assert!(is_ours(&endpoints.metadata));
    }

    #[test]
    fn anothers_service_is_not_taken_for_skiffs() {
        let mut other = service_of("10.200.64.10");
        other.metadata.labels = None;
        assert!(is_ours(&other.metadata) && !is_managed(&other));
    }
}
