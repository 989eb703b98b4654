//! The `resources` of a task: what each of its nodes has, in one or several candidates.
//!
//! [`RESOURCES`] is the language, [`Resources`] what a file says, and resolving it with flags
//! gives the candidates. Must not know what a cluster has.

mod accelerators;
mod autostop;
mod disk;
mod grammar;
mod image;
mod infra;
mod instance_type;
mod labels;
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

pub use grammar::RESOURCES;
pub(crate) use image::{IMAGE, parse_image};
pub use infra::Infra;

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
        let is_ordered = ordered.is_some();
        let name = if is_ordered { "ordered" } else { "any_of" };
        let entries = ordered.or(any_of).map_or(Vec::new(), |node| {
            read_entries(node, &path.key(name), faults)
        });
        let resources = Self {
            base,
            entries,
            is_ordered,
        };
        resources.check_accelerators(name, faults);
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

    /// The candidates with flags applied and defaults filled in; empty only with a fault.
    pub(crate) fn resolve(
        &self,
        flags: &ResourceOverrides,
        findings: &mut Findings,
    ) -> Vec<ResolvedResources> {
        let mut faults = Vec::new();
        let changes = Changes::of(flags, &mut faults);
        let mut elsewhere = Vec::new();
        let mut resolved = Vec::new();
        let mut is_ordered = self.is_ordered;
        for candidate in self.candidates(&changes) {
            let spec = &candidate.spec;
            let infra = match resolve::place(spec) {
                Ok(Place::Elsewhere(cloud)) => {
                    elsewhere.push((candidate, cloud));
                    continue;
                }
                Ok(Place::Here(infra)) => Some(infra),
                Ok(Place::Anywhere) => None,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            is_ordered |= is_ordered_list(spec);
            for accelerators in accelerators_of(spec) {
                if resolved.len() > MAX_CANDIDATES {
                    break;
                }
                let one = resolve::resolve(spec, infra.clone(), accelerators, &mut faults);
                resolved.extend(one.filter(|one| !resolved.contains(one)));
            }
        }
        if resolved.len() > MAX_CANDIDATES {
            let message = format!("`resources` has more than {MAX_CANDIDATES} candidates");
            faults.push(Fault::new(message));
        }
        let is_here = !resolved.is_empty() || !faults.is_empty();
        tell_elsewhere(elsewhere, is_here, &mut faults, findings);
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

    fn candidates(&self, changes: &Changes) -> impl Iterator<Item = Candidate<'_>> {
        let entries = self.entries.iter().map(Some);
        let alone = self.entries.is_empty().then_some(None);
        entries.chain(alone).map(|entry| {
            let mut spec = match entry {
                Some(entry) => self.base.overlaid(&entry.spec),
                None => self.base.clone(),
            };
            changes.apply_to(&mut spec);
            Candidate { spec, entry }
        })
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

/// Whether the order of a candidate's accelerators is the user's.
fn is_ordered_list(spec: &Spec) -> bool {
    let choice = spec.accelerators.as_ref();
    choice.is_some_and(|choice| choice.value.is_ordered && choice.value.sets.len() > 1)
}

/// The sets of accelerators of a candidate, each of which makes one of its own.
fn accelerators_of(spec: &Spec) -> Vec<Option<Accelerators>> {
    match &spec.accelerators {
        None => vec![None],
        Some(choice) => choice.value.sets.iter().cloned().map(Some).collect(),
    }
}

/// Candidates on other clouds are passed over if another can run, and else faults.
fn tell_elsewhere(
    elsewhere: Vec<(Candidate<'_>, String)>,
    is_here: bool,
    faults: &mut Vec<Fault>,
    findings: &mut Findings,
) {
    for (candidate, cloud) in elsewhere {
        match candidate.entry {
            Some(entry) if is_here => findings.remarks.push(Remark {
                span: entry.span,
                path: entry.name.clone(),
                why: "Skiff runs on Kubernetes only, and another candidate can run there",
            }),
            _ => {
                let problem = infra::not_here(&cloud);
                let spec = &candidate.spec;
                faults.push(match (&spec.infra, &spec.cloud) {
                    (Some(infra), _) => infra.fault(problem),
                    (None, Some(cloud)) => cloud.fault(problem),
                    (None, None) => problem.of("resources"),
                });
            }
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
