//! `skiff volumes apply`

use std::path::PathBuf;

use clap::Args;
use skiff_engine::{VolumeChange, VolumePlan, apply_volume, plan_volume};
use skiff_schema::{Infra, Volume, VolumeOverrides};

use crate::error::CommandError;
use crate::files;
use crate::setup::Setup;

#[derive(Debug, Args)]
#[command(
    after_help = "name: my-data\ntype: k8s-pvc\nsize: 50Gi\nconfig: {storage_class_name: fast, access_mode: ReadWriteOnce}\n\n\
                  Applying twice changes nothing. More `size` resizes, where the storage class allows it; another class or access \
                  mode is refused, for a claim keeps both."
)]
pub(crate) struct ApplyArgs {
    /// File of the volume; flags win over it, and may take its place
    #[arg(value_name = "FILE", required_unless_present = "name")]
    file: Option<PathBuf>,
    /// Name of the volume
    #[arg(short, long)]
    name: Option<String>,
    /// Where it is: k8s, or k8s/CONTEXT
    #[arg(long)]
    infra: Option<String>,
    /// Its kind: k8s-pvc
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// How much it holds: 100 for gigabytes, 100Gi
    #[arg(long)]
    size: Option<String>,
    /// Take a claim that is there already
    #[arg(long)]
    use_existing: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(args: ApplyArgs, setup: &Setup) -> Result<(), CommandError> {
    let volume = args.volume()?;
    for note in &volume.notes {
        setup.printer.note(&format!("note: {note}"));
    }
    let context = volume.infra.as_ref().and_then(Infra::context);
    let (mut cluster, _) = setup.connect(context).await?;
    if let Some(namespace) = &volume.namespace {
        cluster.namespace.clone_from(namespace);
    }
    let name = volume.name.clone();
    let plan = plan_volume(&cluster, volume, setup.user()).await?;
    for note in &plan.notes {
        setup.printer.note(&format!("note: {note}"));
    }
    let place = format!("namespace {} of {}", cluster.namespace, cluster.context);
    if plan.change != VolumeChange::Nothing {
        let question = format!("{} in {place}. Proceed?", intention(&plan, &name));
        if !setup.confirmed(args.yes, &question)? {
            return Ok(());
        }
        apply_volume(&cluster, &plan).await?;
    }
    setup.printer.note(&done(&plan, &name));
    Ok(())
}

impl ApplyArgs {
    fn volume(&self) -> Result<Volume, CommandError> {
        let flags = VolumeOverrides {
            name: self.name.clone(),
            kind: self.kind.clone(),
            infra: self.infra.clone(),
            size: self.size.clone(),
            use_existing: self.use_existing,
        };
        Ok(match &self.file {
            Some(path) => {
                Volume::read_bytes(&path.display().to_string(), &files::read(path)?, &flags)?
            }
            None => Volume::from_flags(&flags)?,
        })
    }
}

fn intention(plan: &VolumePlan, name: &str) -> String {
    match &plan.change {
        VolumeChange::Create { size, class } => {
            let class = class.as_deref().filter(|class| !class.is_empty());
            let class = class.map_or_else(String::new, |class| format!(", storage class {class}"));
            format!("Making the volume '{name}' ({size}{class})")
        }
        VolumeChange::Take { claim } => format!("Making the claim '{claim}' the volume '{name}'"),
        VolumeChange::Resize { from, to, .. } => {
            format!("Resizing the volume '{name}' from {from} to {to}")
        }
        VolumeChange::Label { .. } | VolumeChange::Nothing => {
            format!("Setting the labels of the volume '{name}'")
        }
    }
}

fn done(plan: &VolumePlan, name: &str) -> String {
    match &plan.change {
        VolumeChange::Create { .. } => format!("✓ Volume {name} is made."),
        VolumeChange::Take { claim } => format!("✓ Volume {name} is the claim {claim}."),
        VolumeChange::Resize { to, .. } => {
            format!("✓ Volume {name} grows to {to}: `skiff volumes ls` shows when it is done.")
        }
        VolumeChange::Label { .. } => format!("✓ Volume {name} has its new labels."),
        VolumeChange::Nothing => format!("✓ Volume {name} is as it should be."),
    }
}
