//! `skiff status`

use clap::Args;
use serde_json::json;
use skiff_engine::{ClusterStatus, ask_docker, now, status};
use skiff_proto::{DiskUse, DockerState};

use crate::commands::queue::Output;
use crate::error::CommandError;
use crate::setup::Setup;
use crate::table::{ago, table};

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Names of clusters; all of yours where none is given
    clusters: Vec<String>,
    /// Clusters of all users
    #[arg(short = 'u', long)]
    all_users: bool,
    /// Show more of each
    #[arg(short, long)]
    verbose: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(args: StatusArgs, setup: &Setup) -> Result<(), CommandError> {
    let (cluster, _) = setup.connect(None).await?;
    let user = setup.user();
    let whose = (!args.all_users).then_some(&user);
    let (clusters, now) = futures::join!(status(&cluster, whose), now(&cluster));
    let mut clusters = clusters?;
    for name in &args.clusters {
        if clusters
            .iter()
            .all(|status| status.cluster.record.name != *name)
        {
            setup.printer.note(&format!("there is no cluster `{name}`"));
        }
    }
    clusters.retain(|status| {
        args.clusters.is_empty() || args.clusters.contains(&status.cluster.record.name)
    });
    if args.verbose {
        ask_docker(&cluster, &mut clusters).await;
    }
    if args.output == Output::Json {
        let all: Vec<_> = clusters
            .iter()
            .map(|status| as_json(status, &cluster.context))
            .collect();
        setup.printer.data(&format!("{:#}\n", json!(all)));
        return Ok(());
    }
    if clusters.is_empty() {
        setup.printer.data(&format!(
            "Clusters\nNo clusters in namespace {} of {}.\n",
            cluster.namespace, cluster.context
        ));
        return Ok(());
    }
    let mut head = vec![
        "NAME",
        "INFRA",
        "RESOURCES",
        "STATUS",
        "AUTOSTOP",
        "LAUNCHED",
    ];
    if args.all_users {
        head.insert(1, "USER");
    }
    if args.verbose {
        head.extend(["HEAD_IP", "COMMAND", "LAST_EVENT"]);
    }
    let rows = clusters
        .iter()
        .map(|status| row(status, now, &args, &cluster.context));
    setup
        .printer
        .data(&format!("Clusters\n{}", table(&head, rows)));
    if args.verbose {
        setup.printer.data(&node_table(&clusters));
        setup.printer.data(&docker_table(&clusters));
    }
    if !args.verbose {
        for status in &clusters {
            if let Some(why) = &status.why {
                setup
                    .printer
                    .note(&format!("{}: {why}", status.cluster.record.name));
            }
        }
    }
    Ok(())
}

/// The nodes of clusters that have several; empty where there are none.
fn node_table(clusters: &[ClusterStatus]) -> String {
    let many = clusters.iter().filter(|status| status.nodes.len() > 1);
    let rows: Vec<Vec<String>> = many
        .flat_map(|status| {
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            status.nodes.iter().map(move |node| {
                vec![
                    status.cluster.record.name.clone(),
                    node.name.clone(),
                    if node.up { "UP" } else { "-" }.to_owned(),
                    or_dash(&node.ip),
                    or_dash(&node.node),
                    or_dash(&node.reason),
                ]
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["CLUSTER", "NODE", "STATUS", "IP", "RUNS_ON", "LAST_EVENT"];
    format!("\nNodes\n{}", table(&head, rows.into_iter()))
}

/// Docker on the nodes that have it, and why it does not store elsewhere; empty where there is none.
fn docker_table(clusters: &[ClusterStatus]) -> String {
    let nodes = clusters.iter().flat_map(|status| {
        let name = &status.cluster.record.name;
        let known = status.nodes.iter();
        known.filter_map(move |node| Some((name, &node.name, node.docker.as_ref()?)))
    });
    let mut remarks = Vec::new();
    let mut rows = Vec::new();
    for (cluster, node, docker) in nodes {
        let facts = &docker.facts;
        rows.push(vec![
            cluster.clone(),
            node.clone(),
            match docker.state {
                DockerState::Off => "OFF",
                DockerState::Starting => "STARTING",
                DockerState::Ready => "READY",
                DockerState::Failed { .. } => "FAILED",
            }
            .to_owned(),
            or_dash(facts.driver.as_ref()),
            or_dash(facts.disk.map(disk_use).as_ref()),
            or_dash(facts.storage.as_ref()),
        ]);
        for place in &facts.tried {
            remarks.push(format!("{cluster} {node} does not use {place}\n"));
        }
        if let (Some(users), Some(own)) = (&facts.user_namespace, facts.process_sandbox) {
            let processes = if own {
                "of its own"
            } else {
                "beside the builder's"
            };
            remarks.push(format!(
                "{cluster} {node} builds as {users}; each step has processes {processes}\n"
            ));
        }
        if let Some(notice) = &facts.notice {
            remarks.push(format!("{cluster} {node}: {notice}\n"));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = ["CLUSTER", "NODE", "DOCKER", "DRIVER", "DATA", "STORAGE"];
    let table = table(&head, rows);
    format!("\nDocker\n{table}{}", remarks.concat())
}

/// `38.2 of 40 GiB`.
fn disk_use(disk: DiskUse) -> String {
    let unit = |bytes: u64| {
        if bytes >= 1 << 30 {
            (1_u64 << 30, "GiB")
        } else {
            (1 << 20, "MiB")
        }
    };
    let in_unit = |bytes: u64, unit: u64| {
        let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
        match tenths % 10 {
            0 => (tenths / 10).to_string(),
            tenth => format!("{}.{tenth}", tenths / 10),
        }
    };
    let ((bytes, name), (own, own_name)) = (unit(disk.size), unit(disk.used));
    let (used, size) = (in_unit(disk.used, own), in_unit(disk.size, bytes));
    if name == own_name {
        format!("{used} of {size} {name}")
    } else {
        format!("{used} {own_name} of {size} {name}")
    }
}

fn row(
    status: &ClusterStatus,
    now: jiff::Timestamp,
    args: &StatusArgs,
    context: &str,
) -> Vec<String> {
    let record = &status.cluster.record;
    let age = status
        .cluster
        .created
        .map(|created| u64::try_from(now.as_second() - created.as_second()).unwrap_or_default());
    let mut row = vec![
        record.name.clone(),
        format!("Kubernetes ({context})"),
        record.resources.clone(),
        status.state.to_string(),
        or_dash(
            status
                .cluster
                .autostop
                .as_ref()
                .map(ToString::to_string)
                .as_ref(),
        ),
        ago(age),
    ];
    if args.all_users {
        row.insert(1, record.user.clone());
    }
    if args.verbose {
        row.extend([
            or_dash(status.head_ip.as_ref()),
            record.command.clone(),
            or_dash(status.why.as_ref()),
        ]);
    }
    row
}

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".to_owned())
}

fn as_json(status: &ClusterStatus, context: &str) -> serde_json::Value {
    let record = &status.cluster.record;
    json!({
        "name": record.name,
        "status": status.state,
        "reason": status.why,
        "infra": { "cloud": "kubernetes", "context": context },
        "resources": record.resources,
        "num_nodes": record.num_nodes,
        "image": record.image,
        "docker": record.docker,
        "user": record.user,
        "autostop": status.cluster.autostop.map(|policy| json!({
            "idle_minutes": policy.idle_ms / 60_000,
            "down": policy.down,
            "wait_for": policy.wait_for,
        })),
        "command": record.command,
        "launched_at": status.cluster.created.map(|created| created.to_string()),
        "kubernetes_name": status.cluster.id,
        "head_ip": status.head_ip,
        "node": status.node,
        "home_volume": record.home_volume,
        "nodes": status.nodes,
    })
}
