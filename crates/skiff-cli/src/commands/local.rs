//! `skiff local`: a real Kubernetes on this machine.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use skiff_engine::Interrupt;
use skiff_local::{
    ClusterName, ClusterStatus, DownReport, Event, Machine, UpOptions, UpReport, controller, down,
    load, status, up,
};
use skiff_proto::ExitStatus;

use crate::commands::queue::Output;
use crate::error::{CommandError, Hinted};
use crate::printer::Printer;
use crate::setup::Setup;
use crate::table::table;

#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Start a cluster, or what is missing of it, and make its context current
    Up(UpArgs),
    /// Stop a cluster and remove everything of it but the images of its nodes
    Down(DownArgs),
    /// Show local clusters, their nodes and components
    Status(StatusArgs),
    /// Import image files into every node
    Load(LoadArgs),
    /// Serve a cluster: what `up` starts beside it
    #[command(hide = true)]
    Controller(ControllerArgs),
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Name of the cluster
    #[arg(long, default_value_t)]
    name: ClusterName,
    /// Number of nodes [default: 1, or as many as the cluster has]
    #[arg(long, value_name = "N")]
    nodes: Option<u8>,
    /// Give pods no way out of this machine
    #[arg(long)]
    no_egress: bool,
    /// Where to look for executables first
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// How long to wait until every node is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

#[derive(Debug, Args)]
struct DownArgs {
    /// Name of the cluster
    #[arg(long, default_value_t, conflicts_with = "all")]
    name: ClusterName,
    /// All local clusters
    #[arg(short, long)]
    all: bool,
    /// Remove the images of the nodes too
    #[arg(long)]
    purge: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// Name of a cluster; all where none is given
    #[arg(long)]
    name: Option<ClusterName>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// Name of the cluster
    #[arg(long, default_value_t)]
    name: ClusterName,
    /// Image archives, of `docker save` or OCI
    #[arg(required = true, value_name = "IMAGE.tar")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct ControllerArgs {
    /// The cluster's folder
    folder: PathBuf,
}

pub(crate) async fn run(args: LocalArgs, setup: &Setup) -> Result<(), CommandError> {
    let machine = Machine::from_env(|name| std::env::var_os(name));
    let printer = setup.printer;
    let interrupt = &setup.interrupt;
    match args.command {
        LocalCommand::Up(args) => Box::pin(run_up(args, &machine, printer, interrupt)).await,
        LocalCommand::Down(args) => run_down(args, &machine, printer, interrupt).await,
        LocalCommand::Status(args) => run_status(args, &machine, printer).await,
        LocalCommand::Load(args) => {
            let events = |event| printer.note(&said(&event));
            unless(interrupt, load(&machine, &args.name, &args.files, &events)).await
        }
        LocalCommand::Controller(args) => {
            let log = |line: &str| printer.note(&format!("{:.0} {line}", Timestamp::now()));
            Box::pin(unless(interrupt, controller(&args.folder, &log))).await
        }
    }
}

/// Works until the user interrupts. What is half done then, the next command finishes or removes.
async fn unless<T, E: Hinted>(
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, CommandError> {
    match interrupt.unless(work).await {
        Some(result) => Ok(result?),
        None => Err(CommandError::Failed {
            error: "interrupted".into(),
            hint: Some(
                "`skiff local up` finishes what was begun, `skiff local down` removes it"
                    .to_owned(),
            ),
            exit: ExitStatus::Interrupted,
        }),
    }
}

async fn run_up(
    args: UpArgs,
    machine: &Machine,
    printer: Printer,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let options = UpOptions {
        name: args.name,
        nodes: args.nodes,
        no_egress: args.no_egress,
        bin_dir: args.bin_dir,
        wait: Duration::from_secs(args.wait),
    };
    let events = |event| printer.note(&said(&event));
    let report = Box::pin(unless(interrupt, up(machine, &options, &events))).await?;
    printer.note(&concluded(&options.name, &report));
    Ok(())
}

fn concluded(name: &ClusterName, report: &UpReport) -> String {
    let UpReport {
        started,
        existed,
        context,
        ..
    } = report;
    let what = match (existed, started.is_empty()) {
        (_, true) => format!("Cluster {name} is up already: nothing had to be started."),
        (true, false) => format!("✓ Cluster {name} is whole again."),
        (false, false) => format!("✓ Cluster {name} is up."),
    };
    format!("{what} Context {context} is current.")
}

async fn run_down(
    args: DownArgs,
    machine: &Machine,
    printer: Printer,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let names = if args.all {
        machine.cluster_names()
    } else {
        vec![args.name]
    };
    if names.is_empty() {
        printer.note("There are no local clusters.");
    }
    let events = |event| printer.note(&said(&event));
    for name in names {
        let report = unless(interrupt, down(machine, &name, args.purge, &events)).await?;
        printer.note(&match report {
            DownReport::NotThere => format!("There is nothing to stop of cluster {name}."),
            DownReport::Stopped { images_kept: true } => {
                format!("✓ Cluster {name} is down; its images are kept for the next `up` (--purge removes them).")
            }
            DownReport::Stopped { images_kept: false } => format!("✓ Cluster {name} is down."),
        });
    }
    Ok(())
}

async fn run_status(
    args: StatusArgs,
    machine: &Machine,
    printer: Printer,
) -> Result<(), CommandError> {
    let names = args
        .name
        .map_or_else(|| machine.cluster_names(), |name| vec![name]);
    let mut found = Vec::new();
    for name in names {
        match status(machine, &name).await? {
            Some(status) => found.push(status),
            None => printer.note(&format!("there is no local cluster `{name}`")),
        }
    }
    if args.output == Output::Json {
        printer.data(&format!("{:#}\n", serde_json::json!(found)));
    } else if found.is_empty() {
        printer.note("No local clusters. `skiff local up` starts one.");
    } else {
        let texts: Vec<String> = found.iter().map(described).collect();
        printer.data(&texts.join("\n"));
    }
    Ok(())
}

fn described(status: &ClusterStatus) -> String {
    let state = serde_json::json!(status.state);
    let state = state.as_str().unwrap_or_default();
    let mut text = format!("Cluster {}: {state}\n", status.name);
    let Some(details) = &status.details else {
        let _ = writeln!(text, "  images kept in {}", status.folder.display());
        return text;
    };
    let egress = if details.egress {
        "pods reach the outside"
    } else {
        "pods have no way out"
    };
    let _ = writeln!(
        text,
        "  Kubernetes {}, context {}, {}, addresses {}, {egress}",
        details.kubernetes, details.context, details.server, details.range
    );
    if let Some(fault) = &details.api_fault {
        let _ = writeln!(text, "  API server: {fault}");
    }
    let nodes = details.nodes.iter().map(|node| {
        let ready = if node.ready { "ready" } else { "not ready" };
        vec![
            node.name.clone(),
            node.address.clone(),
            ready.to_owned(),
            node.reason.clone(),
        ]
    });
    text.push_str(&table(&["NODE", "ADDRESS", "STATUS", "WHY"], nodes));
    let components = details.components.iter().map(|component| {
        let pid = component
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let ready = if component.pid.is_some() {
            "running"
        } else {
            "dead"
        };
        let node = component.node.clone().unwrap_or_else(|| "-".to_owned());
        vec![component.name.to_owned(), node, ready.to_owned(), pid]
    });
    text.push_str(&table(&["COMPONENT", "NODE", "STATUS", "PID"], components));
    text
}

/// An event as a line for people.
fn said(event: &Event) -> String {
    match event {
        Event::WaitingForOther { name } => {
            format!("Waiting for another Skiff that works on cluster {name}")
        }
        Event::Creating {
            name,
            kubernetes,
            nodes,
            range,
            egress,
        } => {
            let nodes = if *nodes == 1 {
                "1 node".to_owned()
            } else {
                format!("{nodes} nodes")
            };
            let egress = if *egress { "" } else { ", no way out" };
            format!(
                "Creating cluster {name}: Kubernetes {kubernetes}, {nodes}, addresses {range}{egress}"
            )
        }
        Event::Starting(component) => format!("Starting {component}"),
        Event::ApiReady { after } => {
            format!("✓ API server ready after {:.1} s", after.as_secs_f32())
        }
        Event::NodesReady { after } => format!("✓ Nodes ready after {:.1} s", after.as_secs_f32()),
        Event::Importing { node, file } => format!("Importing {} into node {node}", file.display()),
        Event::Imported { node, images, took } => {
            format!(
                "✓ Imported {} into node {node} in {:.1} s",
                images.join(", "),
                took.as_secs_f32()
            )
        }
        Event::ContextWritten {
            context,
            kubeconfig,
        } => {
            format!("✓ Context {context} written to {}", kubeconfig.display())
        }
        Event::Stopping { name } => format!("Taking down cluster {name}"),
    }
}
