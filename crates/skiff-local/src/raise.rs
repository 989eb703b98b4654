//! Raising a cluster: start what is dead, in parallel, and wait on conditions until pods can run.
//!
//! The control plane and the nodes' runtimes come up side by side; kubelets follow when the API
//! server answers, because one that finds no server backs off for seconds (an old one dawdles for
//! longer than the server takes, and starts early). Whatever is waited for, a component that ends
//! meanwhile ends the wait.

mod control_plane;

use std::{
    collections::BTreeMap, future::Future, net::Ipv4Addr, path::PathBuf, sync::Mutex,
    time::Duration,
};

use futures::future::try_join_all;
use jiff::Timestamp;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    api::Administrator,
    binaries::Binaries,
    cgroup::Hierarchies,
    cluster::{Cluster, Node},
    component::{Component, NodePlan},
    event::{Event, Events},
    file, flags,
    images::{self, Store},
    machine::{self, Machine},
    network, origin,
    pki::Pki,
    process::{self, Launch},
    resolver::Resolver,
    sandbox,
    settings::{self, Facts, Runtime},
    up::UpError,
    version::Version,
};

/// Pause between two looks at something that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Where every kubelet serves, on its node's address.
const KUBELET_PORT: u16 = 10_250;
/// Pause between two looks for components that have ended.
const WATCH_OVER: Duration = Duration::from_millis(100);

/// One `up` at work.
pub(crate) struct Raise<'a> {
    machine: &'a Machine,
    cluster: &'a Cluster,
    binaries: &'a Binaries,
    hierarchies: Hierarchies,
    facts: Facts,
    pki: Pki,
    resolver: Resolver,
    events: Events<'a>,
    start: Instant,
    patience: Duration,
    /// What is being waited for, for the error when it does not come.
    state: watch::Sender<String>,
    /// The components that this command started, and when.
    started: Mutex<BTreeMap<Component, Timestamp>>,
}

impl<'a> Raise<'a> {
    pub(crate) fn new(
        machine: &'a Machine,
        cluster: &'a Cluster,
        binaries: &'a Binaries,
        containerd: Version,
        events: Events<'a>,
        start: Instant,
        patience: Duration,
    ) -> Result<Self, UpError> {
        let hierarchies = Hierarchies::read()?;
        let status = file::read_if_there("/proc/self/status".as_ref())?.unwrap_or_default();
        let runtime = Runtime {
            version: containerd,
            pause_image: images::pause_image(&machine.images(), env!("CARGO_PKG_VERSION")),
            runc: binaries.path("runc").to_owned(),
            plugins: binaries.plugins().to_owned(),
            snapshotter: images::snapshotter(cluster.layout.root()),
            lower_oom_score: machine::may_lower_oom_score(&status),
        };
        Ok(Self {
            machine,
            cluster,
            binaries,
            facts: Facts {
                cgroup_version_1: hierarchies.is_version_1(),
                runtime,
            },
            hierarchies,
            pki: Pki::new(cluster),
            resolver: network::resolver(cluster),
            events,
            start,
            patience,
            state: watch::Sender::new("it was just started".to_owned()),
            started: Mutex::default(),
        })
    }

    /// Brings everything up and every image in. Returns the components that had to be started.
    pub(crate) async fn run(self, files: &[PathBuf]) -> Result<Vec<Component>, UpError> {
        for folder in [self.cluster.layout.logs(), self.cluster.layout.processes()] {
            file::make_folder(&folder)?;
        }
        self.pki.make(self.cluster)?;
        settings::write_control_plane(self.cluster, &self.pki)?;
        let administrator = Administrator::connect(self.cluster).await?;
        let plans: Vec<(Node, NodePlan)> = self
            .cluster
            .nodes()
            .into_iter()
            .map(|node| {
                (
                    node.clone(),
                    NodePlan::decide(node.index, |c| self.alive(c)),
                )
            })
            .collect();

        let host = network::make_host(self.binaries, self.cluster, &self.resolver);
        let host = async { Ok(host.await?) };
        tokio::try_join!(self.database(), host)?;
        let nodes = try_join_all(plans.iter().map(|(node, plan)| self.runtime(node, plan)));
        tokio::try_join!(self.control_plane(&administrator), nodes)?;
        try_join_all(plans.iter().map(|(node, plan)| self.agents(node, plan))).await?;

        let ready = self.ready(&administrator);
        let images = try_join_all(plans.iter().map(|(node, _)| self.images(node, files)));
        tokio::try_join!(ready, images)?;
        let started = self.started.into_inner().unwrap_or_default();
        Ok(started.into_keys().collect())
    }

    fn alive(&self, component: Component) -> bool {
        process::running(&component.process_record(&self.cluster.layout)).is_some()
    }

    /// Whether a component runs from what it would be started from now. Asked only for those whose
    /// restart no pod notices: one that an older build set up otherwise is replaced.
    fn is_current(&self, component: Component) -> bool {
        let record = component.process_record(&self.cluster.layout);
        self.alive(component) && process::origin(&record) == Some(self.origin(component))
    }

    fn origin(&self, component: Component) -> String {
        let command = flags::command_line(self.cluster, self.binaries, component);
        let settings = flags::settings_file(self.cluster, component);
        origin::origin(&command, settings.as_deref())
    }

    async fn end(&self, component: Component) -> Result<(), UpError> {
        let record = component.process_record(&self.cluster.layout);
        Ok(process::kill(&record).await?)
    }

    /// Makes a node's namespaces, link and settings, and starts its containerd.
    async fn runtime(&self, node: &Node, plan: &NodePlan) -> Result<(), UpError> {
        let cluster = self.cluster;
        let resolver = &self.resolver;
        if *plan == NodePlan::Rebuild {
            self.hierarchies.kill(&node.files.cgroup).await?;
            self.hierarchies.remove(&node.files.cgroup).await?;
            network::remove_link(self.binaries, node).await?;
            file::remove(&node.files.cni_state())?;
        }
        self.hierarchies.make_root(&node.files.cgroup)?;
        settings::write_node(cluster, node, &self.pki, &self.facts, resolver)?;
        if *plan == NodePlan::Rebuild {
            let before = sandbox::make(self.binaries, node);
            self.launch(Component::Sandbox(node.index), before).await?;
        }
        let holder = self.holder(node)?;
        network::make_node(self.binaries, cluster, node, holder).await?;
        let containerd = Component::Containerd(node.index);
        if plan.starts(containerd) {
            self.launch(containerd, sandbox::enter(self.binaries, holder))
                .await?;
        }
        let socket = sandbox::containerd_socket(holder);
        let listens = async {
            while UnixStream::connect(&socket).await.is_err() {
                sleep(LOOK_AGAIN).await;
            }
        };
        self.wait("containerd does not listen", listens).await?;
        if flags::kubelet_looks_for_docker(cluster.version()) {
            self.agent(node, plan, Component::Kubelet(node.index))
                .await?;
        }
        Ok(())
    }

    /// Starts a node's kubelet and kube-proxy and waits until the kubelet serves.
    async fn agents(&self, node: &Node, plan: &NodePlan) -> Result<(), UpError> {
        if !flags::kubelet_looks_for_docker(self.cluster.version()) {
            self.agent(node, plan, Component::Kubelet(node.index))
                .await?;
        }
        self.agent(node, plan, Component::Proxy(node.index)).await?;
        let serves = listens(node.address, KUBELET_PORT);
        self.wait("a kubelet does not listen", serves).await
    }

    async fn agent(
        &self,
        node: &Node,
        plan: &NodePlan,
        component: Component,
    ) -> Result<(), UpError> {
        if !plan.starts(component) && self.is_current(component) {
            return Ok(());
        }
        self.end(component).await?;
        let enter = sandbox::enter(self.binaries, self.holder(node)?);
        self.launch(component, enter).await
    }

    async fn ready(&self, administrator: &Administrator) -> Result<(), UpError> {
        let names: Vec<(String, Option<Timestamp>)> = self
            .cluster
            .nodes()
            .into_iter()
            .map(|node| {
                (
                    node.files.name,
                    self.start_of(Component::Kubelet(node.index)),
                )
            })
            .collect();
        let ready = async {
            administrator.wait_nodes(&names, &self.state).await;
            administrator
                .wait_default_account(self.cluster.version(), &self.state)
                .await;
            administrator.wait_names(&self.state).await;
        };
        self.wait("nodes have not registered", ready).await?;
        let ports = self.cluster.record.ports;
        for port in [ports.controller_manager, ports.scheduler] {
            let listens = listens(self.cluster.record.range.loopback_address(), port);
            self.wait("a controller does not listen", listens).await?;
        }
        self.tell(|after| Event::NodesReady { after });
        Ok(())
    }

    /// When this command started a component, if it did.
    fn start_of(&self, component: Component) -> Option<Timestamp> {
        let started = self.started.lock().ok()?;
        started.get(&component).copied()
    }

    /// Tells of progress, unless everything ran already.
    fn tell(&self, event: impl FnOnce(Duration) -> Event) {
        if self.started.lock().is_ok_and(|started| !started.is_empty()) {
            (self.events)(event(self.start.elapsed()));
        }
    }

    async fn images(&self, node: &Node, files: &[PathBuf]) -> Result<(), UpError> {
        let store = Store::new(self.binaries, node, self.holder(node)?);
        Ok(store.bring(files, self.events).await?)
    }

    fn holder(&self, node: &Node) -> Result<u32, UpError> {
        let component = Component::Sandbox(node.index);
        sandbox::pid(&self.cluster.layout, node.index).ok_or_else(|| self.died(component))
    }

    async fn launch(
        &self,
        component: Component,
        before: Vec<std::ffi::OsString>,
    ) -> Result<(), UpError> {
        (self.events)(Event::Starting(component));
        let layout = &self.cluster.layout;
        let cgroup = match component.node() {
            Some(node) => layout.node(node).services_cgroup(),
            None => format!("{}/control-plane", layout.cgroup()),
        };
        let cgroup = self.hierarchies.make_for_processes(&cgroup)?;
        // Namespaces are made before the record is written, and entered after it.
        let command = flags::command_line(self.cluster, self.binaries, component);
        let (before, command) = match component {
            Component::Sandbox(_) => (before, command),
            _ => (Vec::new(), before.into_iter().chain(command).collect()),
        };
        let folders = [
            self.binaries.kubernetes_folder(),
            parent(self.binaries.path("containerd")),
        ];
        let launch = Launch {
            record: component.process_record(layout),
            log: component.log(layout),
            cgroup: &cgroup,
            before,
            command,
            origin: self.origin(component),
            path: &self.machine.child_path(&folders),
        };
        let now = Timestamp::now();
        launch.start().await?;
        if let Ok(mut started) = self.started.lock() {
            started.insert(component, now);
        }
        Ok(())
    }

    /// Waits for a condition, but no longer than the user's patience or a component's death.
    async fn wait(&self, what: &str, condition: impl Future<Output = ()>) -> Result<(), UpError> {
        self.state.send_replace(what.to_owned());
        let deadline = self.start + self.patience;
        tokio::select! {
            () = condition => Ok(()),
            component = self.first_death() => Err(self.died(component)),
            () = tokio::time::sleep_until(deadline) => Err(UpError::NotReady {
                name: self.cluster.layout.name().clone(),
                waited: self.patience,
                state: self.state.borrow().clone(),
                logs: self.cluster.layout.logs(),
            }),
        }
    }

    /// Completes when a component that this command started has ended.
    async fn first_death(&self) -> Component {
        loop {
            let started = self
                .started
                .lock()
                .map(|started| started.clone())
                .unwrap_or_default();
            if let Some(dead) = started
                .into_keys()
                .find(|component| !self.alive(*component))
            {
                return dead;
            }
            sleep(WATCH_OVER).await;
        }
    }

    fn died(&self, component: Component) -> UpError {
        let path = component.log(&self.cluster.layout);
        UpError::ComponentDied {
            component,
            log: process::log_end(&path),
            path,
        }
    }
}

async fn listens(address: Ipv4Addr, port: u16) {
    while TcpStream::connect((address, port)).await.is_err() {
        sleep(LOOK_AGAIN).await;
    }
}

fn parent(path: &std::path::Path) -> &std::path::Path {
    path.parent().unwrap_or(std::path::Path::new("/"))
}
