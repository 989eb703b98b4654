//! `skiff config`: what the configuration says, and which line of which file says it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use skiff_kube::{Cluster, Selection};
use skiff_schema::{Config, ConfigEntry, ConfigLayer, Fault};

use crate::configuration;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::table::table;

/// The longest value that a table shows.
const WIDEST: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print what holds for every key, and the line that says so
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Contacts no cluster and needs none. Later layers win:\n  \
                  the local cluster's own   ~/.skiff/local/NAME/config.yaml\n  \
                  the user's                $SKYPILOT_GLOBAL_CONFIG, else ~/.skiff/config.yaml, else ~/.sky/config.yaml\n  \
                  the project's             $SKYPILOT_PROJECT_CONFIG, else ./.sky.yaml\n  \
                  a task's `config:`        not shown here: see `skiff render`\n  \
                  --config                  wins over all of them\n\n\
                  Examples:\n  \
                  skiff config show\n  \
                  skiff config show kubernetes.images --context prod\n  \
                  skiff config show kubernetes.namespace --config kubernetes.namespace=team -o json"
)]
struct ShowArgs {
    /// Keys to show, with all that is below them; every key where none is given
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// Lay this over the configuration; may be given several times
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    config: Vec<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How the keys are printed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For people and programs
    Yaml,
}

/// Needs no cluster and no runtime.
pub(crate) fn run(
    args: &ConfigArgs,
    context: Option<String>,
    environment: &Environment,
    printer: Printer,
) -> Result<(), CommandError> {
    let ConfigCommand::Show(args) = &args.command;
    let context = Cluster::context_name(&Selection {
        context,
        namespace: None,
    });
    let layers = configuration::layers(environment, context.as_deref(), &args.config)?;
    let config = Config::merge(layers);
    let mut entries = config.entries(context.as_deref());
    for key in &args.keys {
        if !entries.iter().any(|entry| is_in(entry, key)) {
            check_key(key)?;
            printer.note(&format!("nothing is set under `{key}`"));
        }
    }
    entries.retain(|entry| args.keys.is_empty() || args.keys.iter().any(|key| is_in(entry, key)));
    printer.data(&match args.output {
        Output::Table => as_table(&entries),
        Output::Json => format!("{:#}\n", by_key(&entries)),
        Output::Yaml => as_yaml(&by_key(&entries)),
    });
    Ok(())
}

/// Whether an entry is a key, or below it.
fn is_in(entry: &ConfigEntry, key: &str) -> bool {
    let rest = entry.path.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Refuses a key that the configuration cannot have: the reader of flags knows them all.
fn check_key(key: &str) -> Result<(), CommandError> {
    let Err(faults) = ConfigLayer::from_flag(&format!("{key}=~")) else {
        return Ok(());
    };
    let fault = faults.iter().next();
    let hint = fault.and_then(Fault::hint).map(str::to_owned);
    let message = fault.map_or_else(String::new, |fault| fault.message().to_owned());
    Err(CommandError::usage(message, hint))
}

fn as_table(entries: &[ConfigEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        let value = match (&entry.value, entry.default) {
            (Value::Null, Some(words)) => words.to_owned(),
            (Value::Null, None) => "-".to_owned(),
            (Value::String(text), _) if !text.contains('\n') => text.clone(),
            (value, _) => value.to_string(),
        };
        let mut from = entry.origin.to_string();
        if let Some(why) = entry.ignored {
            from = format!("{from} (ignored: {why})");
        }
        vec![entry.path.clone(), shortened(&value), from]
    });
    table(&["KEY", "VALUE", "FROM"], rows)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    let start: String = text.chars().take(WIDEST - 1).collect();
    format!("{start}…")
}

fn by_key(entries: &[ConfigEntry]) -> Value {
    let entries = entries.iter().map(|entry| {
        let mut told = json!({ "value": entry.value, "from": entry.origin.to_string() });
        if let Some(why) = entry.ignored {
            told["ignored"] = json!(why);
        }
        if let Some(words) = entry.default {
            told["default"] = json!(words);
        }
        (entry.path.clone(), told)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn as_yaml(entries: &Value) -> String {
    serde_saphyr::to_string(entries).expect("plain data is always valid YAML")
}
