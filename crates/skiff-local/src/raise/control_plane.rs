//! Raising what a cluster has once: etcd, the API server, the controllers and Skiff's own.

use std::net::Ipv4Addr;

use super::{Raise, listens};
use crate::{api::Administrator, component::Component, event::Event, ports, up::UpError};

impl Raise<'_> {
    /// Starts etcd and waits until it listens.
    pub(super) async fn database(&self) -> Result<(), UpError> {
        let cgroup = format!("{}/control-plane", self.cluster.layout.cgroup());
        self.hierarchies.make_for_processes(&cgroup)?;
        let port = self.cluster.record.ports.etcd;
        let loopback = self.cluster.record.range.loopback_address();
        self.serve(Component::Etcd, loopback, port).await?;
        self.wait("etcd does not listen", listens(loopback, port))
            .await
    }

    pub(super) async fn control_plane(&self, administrator: &Administrator) -> Result<(), UpError> {
        let ports = self.cluster.record.ports;
        let host = self.cluster.record.range.host_address();
        self.serve(Component::ApiServer, host, ports.api).await?;
        let ready = administrator.wait_ready(&self.state);
        self.wait("the API server does not answer", ready).await?;
        self.tell(|after| Event::ApiReady { after });
        let loopback = self.cluster.record.range.loopback_address();
        tokio::try_join!(
            self.serve(
                Component::ControllerManager,
                loopback,
                ports.controller_manager
            ),
            self.serve(Component::Scheduler, loopback, ports.scheduler),
            self.controller(administrator),
        )?;
        Ok(())
    }

    async fn controller(&self, administrator: &Administrator) -> Result<(), UpError> {
        let mut made = Ok(());
        let making = Box::pin(async { made = administrator.make_rights().await });
        self.wait("the controller has no rights yet", making)
            .await?;
        made?;
        if self.is_current(Component::Controller) {
            return Ok(());
        }
        self.end(Component::Controller).await?;
        self.launch(Component::Controller, Vec::new()).await
    }

    /// Starts a part of the control plane if it is dead and its port is free.
    async fn serve(
        &self,
        component: Component,
        address: Ipv4Addr,
        port: u16,
    ) -> Result<(), UpError> {
        if self.alive(component) {
            return Ok(());
        }
        if !ports::is_free(address, port) {
            let address = format!("{address}:{port}");
            return Err(UpError::PortTaken { component, address });
        }
        self.launch(component, Vec::new()).await
    }
}
