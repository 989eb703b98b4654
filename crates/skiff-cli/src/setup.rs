//! What every command starts from.

use skiff_compile::user_hash;
use skiff_engine::{Interrupt, User};
use skiff_kube::{Cluster, Selection};
use skiff_schema::Config;

use crate::configuration;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Progress;

/// The surroundings of one command.
pub(crate) struct Setup {
    pub(crate) environment: Environment,
    pub(crate) printer: Printer,
    pub(crate) interrupt: Interrupt,
    /// `--context`
    pub(crate) context: Option<String>,
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
        let context = context.or(self.context.as_deref()).map(str::to_owned);
        let mut selection = Selection {
            context,
            namespace: None,
        };
        let name = Cluster::context_name(&selection);
        let config = configuration::load(&self.environment, name.as_deref(), &[], self.printer)?;
        selection.namespace = config.for_context(name.as_deref()).namespace;
        Ok((Cluster::connect(&selection).await?, config))
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
