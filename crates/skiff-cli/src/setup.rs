//! What every command starts from.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use skiff_compile::user_hash;
use skiff_engine::{Interrupt, User, remove_leftovers};
use skiff_kube::{Cluster, Selection};
use skiff_schema::Config;

use crate::configuration;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Progress;

/// How long a command may tidy up at its end.
const TIDY: Duration = Duration::from_secs(3);

/// The surroundings of one command.
pub(crate) struct Setup {
    pub(crate) environment: Environment,
    pub(crate) printer: Printer,
    pub(crate) interrupt: Interrupt,
    /// `--context`
    pub(crate) context: Option<String>,
    /// Whether the keys that change nothing have been told.
    pub(crate) has_warned: Cell<bool>,
    /// The cluster that the command works on.
    pub(crate) connected: RefCell<Option<Cluster>>,
}

impl Setup {
    pub(crate) fn user(&self) -> User {
        let name = self.environment.user.clone();
        let hash = self
            .environment
            .user_id
            .clone()
            .unwrap_or_else(|| user_hash(&name));
        User { name, hash }
    }

    /// The configuration for a context, and the cluster that both choose.
    pub(crate) async fn connect(
        &self,
        context: Option<&str>,
    ) -> Result<(Cluster, Config), CommandError> {
        let (selection, config) = self.select(context, &[])?;
        Ok((
            self.remember(Cluster::connect(&selection, self.environment.turns()).await?),
            config,
        ))
    }

    /// The same for a task: with `--config` on top of the configuration, and only where that lets tasks run.
    pub(crate) async fn connect_for_task(
        &self,
        context: Option<&str>,
        flags: &[String],
    ) -> Result<(Cluster, Config), CommandError> {
        let (selection, config) = self.select(context, flags)?;
        if let Some(name) = Cluster::context_name(&selection) {
            check_allowed(&name, &config)?;
        }
        Ok((
            self.remember(Cluster::connect(&selection, self.environment.turns()).await?),
            config,
        ))
    }

    fn remember(&self, cluster: Cluster) -> Cluster {
        self.connected.replace(Some(cluster.clone()));
        cluster
    }

    /// Removes what is left of the user's clusters that took themselves down, and says so. What cannot be removed now
    /// can be by the next command.
    pub(crate) async fn tidy(&self) {
        let Some(cluster) = self.connected.take() else {
            return;
        };
        let user = self.user();
        let removing = remove_leftovers(&cluster, &user);
        if let Ok(Ok(removed)) = tokio::time::timeout(TIDY, removing).await {
            for name in removed {
                self.printer.note(&format!(
                    "note: autostop took down {name}; what was left of it is removed"
                ));
            }
        }
    }

    fn select(
        &self,
        context: Option<&str>,
        flags: &[String],
    ) -> Result<(Selection, Config), CommandError> {
        let context = context.or(self.context.as_deref()).map(str::to_owned);
        let mut selection = Selection {
            context,
            namespace: None,
        };
        let name = Cluster::context_name(&selection);
        let config = self.configuration(name.as_deref(), flags)?;
        selection.namespace = config.for_context(name.as_deref()).namespace;
        Ok((selection, config))
    }

    /// What files and flags say together. Keys that change nothing are told, once.
    pub(crate) fn configuration(
        &self,
        context: Option<&str>,
        flags: &[String],
    ) -> Result<Config, CommandError> {
        let layers = configuration::layers(&self.environment, context, flags)?;
        if !self.has_warned.replace(true) {
            for warning in layers.iter().flat_map(|layer| &layer.warnings) {
                self.printer.note(&format!("warning: {}", warning.message));
            }
        }
        Ok(Config::merge(layers))
    }

    /// Asks, unless the user has said yes beforehand; an error where nobody can answer.
    pub(crate) fn confirmed(&self, yes: bool, question: &str) -> Result<bool, CommandError> {
        if yes {
            return Ok(true);
        }
        self.printer.confirm(question).ok_or_else(|| {
            CommandError::usage(
                "nobody can be asked: standard input is no terminal",
                Some("`-y` goes on without asking".to_owned()),
            )
        })
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress::new(self.printer)
    }
}

/// Refuses a context that is not among those that the configuration allows.
fn check_allowed(context: &str, config: &Config) -> Result<(), CommandError> {
    let Some(allowed) = config.allowed_contexts() else {
        return Ok(());
    };
    if allowed.names.iter().any(|name| name == context) {
        return Ok(());
    }
    let names = match allowed.names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    Err(CommandError::failure(
        format!(
            "tasks may not run in the context `{context}`: `kubernetes.allowed_contexts` allows {names} ({})",
            allowed.origin
        ),
        Some("choose one with `--infra k8s/CONTEXT`, or add the context to the list".to_owned()),
    ))
}
