//! The cluster's DNS: names of Services and pods, and everything else from the host's name servers.
//!
//! [`zone`] knows the names, [`answer`] the protocol, both pure; [`forward`] asks the host's servers,
//! [`server`] has the sockets, and [`service`] shows the whole to pods as the Service `kube-dns`.

mod answer;
mod forward;
mod server;
pub(crate) mod service;
mod zone;

use std::{io, sync::Arc};

use futures::future::join5;
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Service};
use kube::{Api, Client};
use tokio::sync::{Notify, watch};

use self::{
    forward::Upstream,
    server::Sockets,
    service::Front,
    zone::{Objects, Zone},
};
use super::{Log, mirror::Mirror};
use crate::cluster::Cluster;

/// The domain of a cluster's names.
pub(crate) const DOMAIN: &str = "cluster.local";

/// Serves names for ever. Fails where no port can be had on the bridge.
pub(super) async fn run(cluster: &Cluster, client: Client, log: Log<'_>) -> io::Result<()> {
    let range = cluster.record.range;
    let sockets = Sockets::bind(range.host_address()).await?;
    let front = Front::new(cluster, &client, sockets.port());
    let changed = Notify::new();
    let (services, watch_services) =
        Mirror::<Service>::new(Api::all(client.clone()), &changed, log);
    let (endpoints, watch_endpoints) =
        Mirror::<Endpoints>::new(Api::all(client.clone()), &changed, log);
    let (namespaces, watch_namespaces) =
        Mirror::<Namespace>::new(Api::all(client.clone()), &changed, log);
    let (publish, zone) = watch::channel(None);
    let index = async {
        loop {
            let objects = Objects {
                services: services.objects().await,
                endpoints: endpoints.objects().await,
                namespaces: namespaces.objects().await,
            };
            publish.send_replace(Some(Arc::new(Zone::new(range, &objects))));
            front.show(&objects, log).await;
            changed.notified().await;
        }
    };
    let upstream = cluster.record.egress.then(|| Upstream::of_the_host(range));
    let served = sockets.serve(zone, upstream);
    let _: ((), (), (), (), ()) = join5(
        index,
        served,
        watch_services,
        watch_endpoints,
        watch_namespaces,
    )
    .await;
    Ok(())
}
