//! The file of a volume: what `skiff volumes apply` makes, with the flags that change it.

use indexmap::IndexMap;

use crate::check::{Findings, Remark, check_record};
use crate::document;
use crate::faults::{Fault, Faults};
use crate::path::Path;
use crate::quantity::Memory;
use crate::resources::Infra;
use crate::resources::infra::{INFRA, Place, not_here};
use crate::resources::labels;
use crate::source::{Source, Span};
use crate::view::View;
use crate::volumes::grammar::{DEFAULT_MODE, KIND, NAME, VOLUME_FILE};
use crate::volumes::{ACCESS_MODES, VOLUME_SIZE};
use crate::yaml::{self, Entry, Node, Value};

/// What messages call the file.
const WHAT: &str = "a volume";

/// What the command line says of a volume, as the user typed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeOverrides {
    /// `--name`
    pub name: Option<String>,
    /// `--type`
    pub kind: Option<String>,
    /// `--infra`
    pub infra: Option<String>,
    /// `--size`
    pub size: Option<String>,
    /// `--use-existing`
    pub use_existing: bool,
}

/// A volume as the user wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What it is called.
    pub name: String,
    /// Where it is; None: wherever commands without `--infra` go.
    pub infra: Option<Infra>,
    /// The namespace; None: that of the context.
    pub namespace: Option<String>,
    /// Labels of the user's own.
    pub labels: IndexMap<String, String>,
    /// What it is.
    pub kind: VolumeKind,
    /// Fields that change nothing, one sentence each.
    pub notes: Vec<String>,
}

/// The kinds of volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// A claim for a persistent volume.
    Claim(ClaimKind),
}

/// A claim as the user wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimKind {
    /// How many bytes it holds; None: as many as the claim that is there.
    pub bytes: Option<u64>,
    /// Take one that is there already.
    pub use_existing: bool,
    /// The storage class; None: the cluster's default; empty: none.
    pub storage_class: Option<String>,
    /// `ReadWriteOnce`…; None: not written.
    pub access_mode: Option<&'static str>,
}

impl ClaimKind {
    /// How many nodes may use a new claim at once.
    pub fn mode_of_new(&self) -> &'static str {
        self.access_mode.unwrap_or(DEFAULT_MODE)
    }
}

impl Volume {
    /// Reads the file of a volume, with flags over it; `file_name` is for messages only.
    pub fn read_bytes(
        file_name: &str,
        bytes: &[u8],
        flags: &VolumeOverrides,
    ) -> Result<Self, Faults> {
        let text = yaml::decode(bytes).map_err(|fault| Faults::alone(file_name, fault))?;
        let source = Source::new(file_name, yaml::counted(text));
        let mut faults = Vec::new();
        let documents = yaml::read(text, &mut faults).unwrap_or_default();
        let tree = document::only(documents, WHAT, &mut faults);
        Self::of(tree, flags, faults).map_err(|faults| Faults::of(&source, faults))
    }

    /// A volume of flags alone.
    pub fn from_flags(flags: &VolumeOverrides) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let tree = document::only(Vec::new(), WHAT, &mut faults);
        Self::of(tree, flags, faults).map_err(Faults::of_flags)
    }

    fn of(
        mut tree: Node,
        flags: &VolumeOverrides,
        mut faults: Vec<Fault>,
    ) -> Result<Self, Vec<Fault>> {
        if !matches!(tree.value, Value::Mapping(_)) || !faults.is_empty() {
            return Err(faults);
        }
        flags.lay_over(&mut tree, &mut faults);
        let mut findings = Findings {
            faults,
            remarks: Vec::new(),
        };
        let entries = View::of(&tree).entries();
        check_record(&VOLUME_FILE, entries, &Path::TOP, &mut findings);
        let Findings {
            mut faults,
            remarks,
        } = findings;
        let volume = read(&tree, &remarks, &mut faults);
        match volume {
            Some(volume) if faults.is_empty() => Ok(volume),
            _ => Err(faults),
        }
    }
}

impl VolumeOverrides {
    /// Puts what flags say in the place of what the file says. A flag that is wrong stands for nothing.
    fn lay_over(&self, tree: &mut Node, faults: &mut Vec<Fault>) {
        let texts = [
            ("name", &self.name, &NAME),
            ("type", &self.kind, &KIND),
            ("infra", &self.infra, &INFRA),
            ("size", &self.size, &VOLUME_SIZE),
        ];
        for (field, text, notation) in texts {
            let Some(text) = text else {
                continue;
            };
            let value = match (notation.check)(text) {
                Ok(()) => Value::String(text.clone()),
                Err(problem) => {
                    faults.push(problem.of(format!("--{field}")));
                    Value::Null
                }
            };
            put(tree, field, value);
        }
        if self.use_existing {
            put(tree, "use_existing", Value::Bool(true));
        }
    }
}

fn put(tree: &mut Node, field: &str, value: Value) {
    let span = tree.span;
    let Value::Mapping(entries) = &mut tree.value else {
        return;
    };
    entries.retain(|entry| !matches!(&entry.key.value, Value::String(key) if key == field));
    let key = Value::String(field.to_owned());
    entries.push(Entry {
        key: Node { value: key, span },
        value: Node { value, span },
    });
}

/// Reads a volume whose fields have the right form, and finds what they lack together.
fn read(tree: &Node, remarks: &[Remark], faults: &mut Vec<Fault>) -> Option<Volume> {
    let fields = View::of(tree);
    let config = fields.view("config");
    let use_existing = fields.boolean("use_existing").unwrap_or(false);
    for field in ["name", "type", "size"] {
        let is_needed = field != "size" || !use_existing;
        if is_needed && fields.get(field).is_none() && !is_told(faults, field) {
            faults.push(missing(tree.span, field));
        }
    }
    let own = fields.get("labels");
    let own = own.map(|node| labels::read(node, &Path::TOP.key("labels"), faults));
    let claim = ClaimKind {
        bytes: fields.scalar("size").and_then(|text| bytes_of(&text)),
        use_existing,
        storage_class: config.text("storage_class_name").map(str::to_owned),
        access_mode: config.text("access_mode").and_then(known_mode),
    };
    Some(Volume {
        infra: read_infra(fields, faults),
        name: fields.text("name")?.to_owned(),
        namespace: config.text("namespace").map(str::to_owned),
        labels: own.unwrap_or_default(),
        kind: VolumeKind::Claim(claim),
        notes: remarks
            .iter()
            .map(|remark| format!("`{}` is ignored: {}", remark.path, remark.why))
            .collect(),
    })
}

/// Whether the flag of a field was wrong: then nothing else is missing.
fn is_told(faults: &[Fault], field: &str) -> bool {
    let flag = format!("`--{field}`");
    faults
        .iter()
        .any(|fault| fault.message().starts_with(&flag))
}

fn missing(place: Span, field: &str) -> Fault {
    let example = VOLUME_FILE.field(field).map_or("", |field| field.example);
    let help = format!("write `{example}` into the file, or use the flag `--{field}`");
    let fault = Fault::new(format!("`{field}` is missing")).help(help);
    if place == Span::default() {
        fault
    } else {
        fault.at(place, "")
    }
}

fn read_infra(fields: View<'_>, faults: &mut Vec<Fault>) -> Option<Infra> {
    let node = fields.get("infra")?;
    match Place::parse(fields.text("infra")?) {
        Ok(Place::Here(infra)) => Some(infra),
        Ok(Place::Elsewhere(cloud)) => {
            faults.push(not_here(&cloud).of("infra").at(node.span, ""));
            None
        }
        // What is wrong with it has been told.
        Ok(Place::Anywhere) | Err(_) => None,
    }
}

fn known_mode(word: &str) -> Option<&'static str> {
    let mut known = ACCESS_MODES.iter().copied();
    known.find(|known| known.eq_ignore_ascii_case(word))
}

/// The bytes of a size that is well-formed.
fn bytes_of(text: &str) -> Option<u64> {
    match Memory::parse(text) {
        Ok(Memory::Bytes { bytes, .. }) => Some(bytes),
        _ => None,
    }
}
