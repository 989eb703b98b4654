//! The `resources` of a task: what each of its nodes has, in one or several candidates.
//!
//! [`RESOURCES`] is the language, [`Resources`] what a file says, and resolving it with flags
//! gives the candidates. Must not know what a cluster has.

mod accelerators;
mod autostop;
mod disk;
mod grammar;
mod image;
pub(crate) mod infra;
mod instance_type;
pub(crate) mod labels;
mod overrides;
mod ports;
mod recovery;
mod resolve;
mod spec;
mod written;

use std::collections::HashSet;

use crate::check::{Findings, Remark};
use crate::faults::Fault;
use crate::path::Path;
use crate::source::Span;
use crate::view::View;
use crate::yaml::{Node, Value};
use crate::{Accelerators, Choice, ResolvedResources, ResourceOverrides};

pub(crate) use disk::{DEFAULT_DISK_BYTES, DISK_SIZE, size as disk_size};
pub use grammar::RESOURCES;
pub(crate) use image::{IMAGE, parse as parse_image};
pub use infra::Infra;
pub(crate) use labels::{LABEL_VALUE, METADATA_KEY, is_own as is_own_label};

use infra::Place;
use overrides::Changes;
use spec::Spec;

/// More ways to run one task than anybody writes; each is a copy of the whole.
const MAX_CANDIDATES: usize = 256;

/// The `resources` of a task as the file says them, flags not yet applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources {
    base: Spec,
    /// What each entry of `any_of` or `ordered` changes of the base.
    entries: Vec<Entry>,
    /// Whether the entries are those of `ordered`.
    is_ordered: bool,
}

/// An entry of `any_of` or `ordered`.
#[derive(Clone, Debug)]
struct Entry {
    spec: Spec,
    /// As messages name it: `resources.any_of[0]`.
    name: String,
    span: Span,
}

/// A candidate with flags applied.
struct Candidate<'a> {
    spec: Spec,
    entry: Option<&'a Entry>,
    accelerators: Option<Accelerators>,
}

impl Resources {
    /// Reads a mapping that was checked against [`RESOURCES`].
    pub(crate) fn read(node: &Node, path: &Path<'_>, findings: &mut Findings) -> Self {
        let faults = &mut findings.faults;
        let fields = View::of(node);
        let base = Spec::read(node, path, faults);
        let (any_of, ordered) = (fields.get("any_of"), fields.get("ordered"));
        if any_of.is_some() && ordered.is_some() {
            let message = format!("`{path}.any_of` and `{path}.ordered` exclude each other");
            let fault = Fault::new(message)
                .help("keep `any_of`, of which any will do, or `ordered`, of which the first that can be had is taken");
            faults.push(spec::at_keys(fault, fields, &["ordered", "any_of"]));
        }
        let mut entries = |name| {
            let node = fields.get(name)?;
            Some(read_entries(node, &path.key(name), faults))
        };
        let (any_of, ordered) = (entries("any_of"), entries("ordered"));
        let is_ordered = ordered.is_some();
        let name = if is_ordered { "ordered" } else { "any_of" };
        let entries = ordered.or(any_of).unwrap_or_default();
        let resources = Self {
            base,
            entries,
            is_ordered,
        };
        resources.check_accelerators(name, faults);
        resources.check_priorities(name, faults);
        resources
    }

    /// Refuses several accelerators where the order of candidates would be lost.
    fn check_accelerators(&self, list: &str, faults: &mut Vec<Fault>) {
        let is_several = |spec: &Spec| {
            let several = spec.accelerators.as_ref();
            several.is_some_and(|several| several.value.sets.len() > 1)
        };
        for entry in &self.entries {
            if let Some(several) = entry.spec.accelerators.as_ref()
                && is_several(&entry.spec)
            {
                let message = format!("`{}` holds several accelerators", several.name);
                let fault = Fault::new(message).help("write an entry for each");
                faults.push(
                    several
                        .span
                        .map_or(fault.clone(), |span| fault.at(span, "")),
                );
            }
        }
        let Some(several) = &self.base.accelerators else {
            return;
        };
        let is_lost = self.is_ordered || several.value.is_ordered;
        if is_several(&self.base) && !self.entries.is_empty() && is_lost {
            let message = format!(
                "`{}` holds several accelerators beside `{list}`",
                several.name
            );
            let fault = Fault::new(message).help(format!("write an entry of `{list}` for each"));
            faults.push(
                several
                    .span
                    .map_or(fault.clone(), |span| fault.at(span, "")),
            );
        }
    }

    /// Refuses ranks of one job that differ by where it runs.
    fn check_priorities(&self, list: &str, faults: &mut Vec<Fault>) {
        let base = self.base.others.get("priority");
        let ranked = self.entries.iter().filter_map(|entry| {
            let own = entry.spec.others.get("priority");
            Some((entry, own.or(base)?))
        });
        let mut ranked = ranked.peekable();
        let Some(first) = ranked.peek().map(|(_, priority)| *priority) else {
            return;
        };
        if let Some((entry, _)) = ranked.find(|(_, priority)| *priority != first) {
            let message = format!("`{}.priority` differs from that before it", entry.name);
            let help = format!("a job has one priority: write it once, beside `{list}`");
            faults.push(Fault::new(message).at(entry.span, "").help(help));
        }
    }

    /// The candidates with flags applied and defaults filled in; empty only with a fault.
    pub(crate) fn resolve(
        &self,
        flags: &ResourceOverrides,
        findings: &mut Findings,
    ) -> Vec<ResolvedResources> {
        let mut faults = Vec::new();
        let changes = Changes::of(flags, &mut faults);
        let candidates = self.candidates(&changes);
        if candidates.len() > MAX_CANDIDATES {
            let message = format!("`resources` has more than {MAX_CANDIDATES} candidates");
            findings.faults.push(Fault::new(message));
            return Vec::new();
        }
        let is_ordered = self.is_ordered || candidates.iter().any(Candidate::is_of_a_list);
        let mut elsewhere = Vec::new();
        let mut resolved = Vec::new();
        for candidate in &candidates {
            match candidate.place() {
                Ok(Place::Elsewhere(cloud)) => elsewhere.push((candidate, cloud)),
                Ok(Place::Here(infra)) => {
                    resolved.extend(candidate.resolve(Some(infra), &mut faults));
                }
                Ok(Place::Anywhere) => resolved.extend(candidate.resolve(None, &mut faults)),
                Err(fault) => faults.push(fault),
            }
        }
        let is_here = !resolved.is_empty() || !faults.is_empty();
        for (candidate, cloud) in elsewhere {
            match candidate.passed_over() {
                Some(remark) if is_here => findings.remarks.push(remark),
                _ => faults.push(candidate.not_here(&cloud)),
            }
        }
        tell_once(faults, &mut findings.faults);
        let choice = match (resolved.len(), is_ordered) {
            (0 | 1, _) => Choice::Only,
            (_, true) => Choice::Ordered,
            (_, false) => Choice::AnyOf,
        };
        for one in &mut resolved {
            one.choice = choice;
        }
        resolved
    }

    /// Every entry on top of the base, with every set of accelerators; a few more than allowed, if
    /// there are more.
    fn candidates(&self, changes: &Changes) -> Vec<Candidate<'_>> {
        let entries = self.entries.iter().map(Some);
        let alone = self.entries.is_empty().then_some(None);
        let expanded = entries.chain(alone).flat_map(|entry| {
            let mut spec = match entry {
                Some(entry) => self.base.overlaid(&entry.spec),
                None => self.base.clone(),
            };
            changes.apply_to(&mut spec);
            let sets = match &spec.accelerators {
                None => vec![None],
                Some(choice) => choice.value.sets.iter().cloned().map(Some).collect(),
            };
            let candidate = move |accelerators| Candidate {
                spec: spec.clone(),
                entry,
                accelerators,
            };
            sets.into_iter().map(candidate)
        });
        expanded.take(MAX_CANDIDATES + 1).collect()
    }
}

impl Candidate<'_> {
    /// Where it runs; what it asks for may leave only one place.
    fn place(&self) -> Result<Place, Fault> {
        let place = resolve::place(&self.spec)?;
        Ok(match (&place, &self.accelerators) {
            (Place::Anywhere, _) if self.spec.instance_type.is_some() => {
                Place::Here(Infra::Kubernetes { context: None })
            }
            (Place::Anywhere, Some(accelerators)) => accelerators::home(accelerators),
            _ => place,
        })
    }

    fn resolve(&self, infra: Option<Infra>, faults: &mut Vec<Fault>) -> Option<ResolvedResources> {
        resolve::resolve(&self.spec, infra, self.accelerators.clone(), faults)
    }

    /// Whether the user gave the order of its accelerators and others.
    fn is_of_a_list(&self) -> bool {
        let choice = self.spec.accelerators.as_ref();
        choice.is_some_and(|choice| choice.value.is_ordered && choice.value.sets.len() > 1)
    }

    /// The remark that another candidate is taken; None where it is the only one.
    fn passed_over(&self) -> Option<Remark> {
        let accelerators = self.spec.accelerators.as_ref();
        let (path, span) = match (self.entry, accelerators) {
            (Some(entry), _) => (entry.name.clone(), entry.span),
            (None, Some(set)) => (set.name.clone(), set.span?),
            (None, None) => return None,
        };
        let why = "Skiff runs on Kubernetes only, and another candidate can run there";
        Some(Remark { span, path, why })
    }

    /// The fault of a candidate on another cloud where none is on Kubernetes.
    fn not_here(&self, cloud: &str) -> Fault {
        let spec = &self.spec;
        match (&spec.infra, &spec.cloud, &spec.accelerators) {
            (Some(infra), ..) => infra.fault(infra::not_here(cloud)),
            (None, Some(written), _) => written.fault(infra::not_here(cloud)),
            (None, None, Some(set)) => set.fault(accelerators::not_here()),
            (None, None, None) => infra::not_here(cloud).of("resources"),
        }
    }
}

fn read_entries(node: &Node, path: &Path<'_>, faults: &mut Vec<Fault>) -> Vec<Entry> {
    let Value::Sequence(items) = &node.value else {
        return Vec::new();
    };
    if items.len() > MAX_CANDIDATES {
        let message = format!("`{path}` has more than {MAX_CANDIDATES} entries");
        faults.push(Fault::new(message).at(node.span, ""));
        return Vec::new();
    }
    let entries = items.iter().enumerate().map(|(index, item)| {
        let path = path.item(index);
        if item.value == Value::Null {
            let message = format!("`{path}` must be a mapping, and this is empty");
            faults.push(Fault::new(message).at(item.span, "must be a mapping"));
        }
        refuse_nested(View::of(item), &path, faults);
        Entry {
            spec: Spec::read(item, &path, faults),
            name: path.to_string(),
            span: item.span,
        }
    });
    entries.collect()
}

fn refuse_nested(fields: View<'_>, path: &Path<'_>, faults: &mut Vec<Fault>) {
    for name in ["any_of", "ordered"] {
        if fields.get(name).is_some() {
            let inner = path.key(name);
            let fault = Fault::new(format!(
                "`{inner}`: a candidate holds no further candidates"
            ))
            .help("write them all in one list");
            faults.push(spec::at_keys(fault, fields, &[name]));
        }
    }
}

/// Tells each fault once: what stands in the base is found with every candidate.
fn tell_once(found: Vec<Fault>, faults: &mut Vec<Fault>) {
    let mut told = HashSet::new();
    let new = found
        .into_iter()
        .filter(|fault| told.insert(fault.message().to_owned()));
    faults.extend(new);
}
