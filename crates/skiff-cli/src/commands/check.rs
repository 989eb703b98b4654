//! `skiff check`

use std::fmt::Write;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use skiff_engine::{
    DockerCheck, LaunchRequest, SelfTest, SelfTestError, Verdict, Way, check_docker, script,
    self_test,
};
use skiff_kube::Cluster;
use skiff_proto::ExitStatus;
use skiff_schema::{
    DockerMode, KubernetesConfig, ResolvedTask, ResourceOverrides, TaskFile, TaskOverrides,
};

use crate::agent::agents;
use crate::commands::queue::Output;
use crate::error::{CommandError, told};
use crate::setup::Setup;
use crate::table::table;

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    command: CheckCommand,
}

#[derive(Debug, Subcommand)]
enum CheckCommand {
    /// Docker in pods: which modes of `enable_docker` the cluster and your rights allow
    Docker(DockerArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is created but by --run: the pod of each mode is shown to the API server in a dry run. What you may not read is \
                  said to be unknown, and forbids nothing.\n\n\
                  Exit code 0: the named mode can work; without a name, at least one of them can. With --run: it did. 1: it cannot, or did \
                  not. 130: interrupted."
)]
struct DockerArgs {
    /// The mode that is to work; both are checked where none is named
    #[arg(value_enum, ignore_case = true)]
    mode: Option<Mode>,
    /// Try each mode that is allowed: launch a small cluster, build an image, run it, take the cluster down
    #[arg(long)]
    run: bool,
    /// CPUs of the task of each mode
    #[arg(long, default_value = "0.5")]
    cpus: String,
    /// Memory of that task in gigabytes
    #[arg(long, default_value = "0.5")]
    memory: String,
    /// Configuration for this once, as in `kubernetes.enable_docker.cache_volume=my-cache`; may be given several times
    #[arg(long, value_name = "FILE_OR_KEY=VALUE")]
    config: Vec<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// The modes in the words of `enable_docker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// A Docker daemon in a privileged sidecar
    #[value(name = "ALL")]
    All,
    /// A builder of images without privileges
    #[value(name = "BUILD")]
    Build,
}

/// How a try ended.
type Tried = (Way, Result<SelfTest, SelfTestError>);

pub(crate) async fn run(args: CheckArgs, setup: &Setup) -> Result<ExitStatus, CommandError> {
    let CheckCommand::Docker(args) = args.command;
    let modes = match args.mode {
        Some(Mode::All) => &[DockerMode::All][..],
        Some(Mode::Build) => &[DockerMode::Build],
        None => &[DockerMode::All, DockerMode::Build],
    };
    let (cluster, config) = setup.connect_for_task(None, &args.config).await?;
    let config = config.for_context(Some(&cluster.context));
    let request = args.request(setup, config)?;
    let checking = Box::pin(check_docker(&cluster, &request, modes));
    let Some(found) = setup.interrupt.unless(checking).await else {
        return Ok(ExitStatus::Interrupted);
    };
    let ways = found.ways.iter();
    let allowed: Vec<&Way> = ways.filter(|way| found.can_work(way)).collect();
    let mut tried = Vec::new();
    if args.run {
        if args.output == Output::Table {
            setup.printer.note(&report(&found, &cluster));
        }
        for way in &allowed {
            let trying = args.try_out(&cluster, &request.config, way, setup);
            let result = Box::pin(trying).await?;
            let is_interrupted = matches!(result, Err(SelfTestError::Interrupted));
            tried.push(((*way).clone(), result));
            if is_interrupted {
                return Ok(ExitStatus::Interrupted);
            }
        }
    }
    match args.output {
        Output::Json => setup
            .printer
            .data(&format!("{:#}\n", as_json(&found, &tried, &cluster))),
        Output::Table if args.run => setup.printer.data(&tried_table(&tried)),
        Output::Table => setup.printer.data(&report(&found, &cluster)),
    }
    let works = |way: &&Way| {
        let own = tried.iter().find(|(known, _)| known == *way);
        own.is_none_or(|(_, result)| result.is_ok())
    };
    Ok(if allowed.iter().any(works) {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

impl DockerArgs {
    /// A launch that is only thought through: no cluster of this name is made.
    fn request(
        &self,
        setup: &Setup,
        config: KubernetesConfig,
    ) -> Result<LaunchRequest, CommandError> {
        Ok(LaunchRequest {
            cluster: "skiff-check".to_owned(),
            config,
            task: self.task(DockerMode::Off)?,
            user: setup.user(),
            machine: setup.environment.machine(),
            agents: agents()?,
            command: "check docker --run".to_owned(),
            now: jiff::Timestamp::now().to_string(),
            no_setup: true,
            fast: false,
            detach: false,
        })
    }

    fn task(&self, mode: DockerMode) -> Result<ResolvedTask, CommandError> {
        let file = TaskFile::from_command(&script(mode));
        let flags = TaskOverrides {
            resources: ResourceOverrides {
                cpus: Some(self.cpus.clone()),
                memory: Some(self.memory.clone()),
                ..ResourceOverrides::default()
            },
            ..TaskOverrides::default()
        };
        Ok(file.tasks()[0].resolve(&flags)?)
    }

    async fn try_out(
        &self,
        cluster: &Cluster,
        config: &KubernetesConfig,
        way: &Way,
        setup: &Setup,
    ) -> Result<Result<SelfTest, SelfTestError>, CommandError> {
        let mut request = self.request(setup, way.configuration(config))?;
        let unique = jiff::Timestamp::now().as_microsecond() & 0xf_ffff;
        request.cluster = format!("{}-{unique:05x}", request.cluster);
        request.task = self.task(way.mode)?;
        let progress = setup.progress();
        let testing = self_test(cluster, request, &setup.interrupt, &progress);
        let result = Box::pin(testing).await;
        progress.end();
        Ok(result)
    }
}

/// The table of findings, what to do, and what can work.
fn report(found: &DockerCheck, cluster: &Cluster) -> String {
    let word = |way: Option<&Way>| way.map_or_else(|| "-".to_owned(), Way::to_string);
    let rows = found.findings.iter().map(|finding| {
        vec![
            finding.check.to_owned(),
            word(finding.way.as_ref()),
            finding.verdict.to_string(),
            one_line(&finding.reason),
        ]
    });
    let mut text = format!(
        "Docker in pods: namespace {} of {}\n{}",
        cluster.namespace,
        cluster.context,
        table(&["CHECK", "MODE", "RESULT", "REASON"], rows)
    );
    let troubles = found.findings.iter();
    let fixes: Vec<String> = troubles
        .filter(|finding| finding.verdict != Verdict::Ok)
        .filter_map(|finding| {
            let fix = finding.fix.as_deref()?;
            let way = finding.way.as_ref().map(|way| format!(" {way}"));
            Some(format!(
                "  {}{}: {fix}\n",
                finding.check,
                way.unwrap_or_default()
            ))
        })
        .collect();
    if !fixes.is_empty() {
        let _ = write!(text, "\nWhat to do:\n{}", fixes.concat());
    }
    text.push('\n');
    for way in &found.ways {
        let verdict = if found.can_work(way) {
            "nothing stands in its way"
        } else {
            "cannot work here"
        };
        let _ = writeln!(text, "enable_docker: {way}: {verdict}");
    }
    text
}

/// The words of API servers may have lines of their own, which would break the table.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tried_table(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "No mode can be tried.\n".to_owned();
    }
    let seconds = |seconds: f64| format!("{seconds:.2} s");
    let rows = tried.iter().map(|(way, result)| match result {
        Ok(test) => vec![
            way.to_string(),
            "works".to_owned(),
            seconds(test.ready_s),
            seconds(test.build_s),
            test.run_s.map_or_else(|| "-".to_owned(), seconds),
            "-".to_owned(),
        ],
        Err(error) => {
            let mut reason = told(error).join(": ");
            if let Some(hint) = error.hint() {
                reason = format!("{reason} ({hint})");
            }
            let dash = || "-".to_owned();
            vec![
                way.to_string(),
                "fails".to_owned(),
                dash(),
                dash(),
                dash(),
                one_line(&reason),
            ]
        }
    });
    table(&["MODE", "RESULT", "READY", "BUILD", "RUN", "REASON"], rows)
}

fn as_json(found: &DockerCheck, tried: &[Tried], cluster: &Cluster) -> serde_json::Value {
    let ways = found.ways.iter().map(|way| {
        let own = tried.iter().find(|(known, _)| known == way);
        let tried = own.map(|(_, result)| match result {
            Ok(test) => json!({ "works": true, "times": test }),
            Err(error) => json!({ "works": false, "reason": told(error).join(": ") }),
        });
        json!({
            "mode": way.mode,
            "runtime": way.runtime,
            "can_work": found.can_work(way),
            "tried": tried,
        })
    });
    json!({
        "context": cluster.context,
        "namespace": cluster.namespace,
        "modes": ways.collect::<Vec<_>>(),
        "findings": found.findings,
    })
}
