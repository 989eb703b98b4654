//! Which nodes the pods may run on: the user's own terms, the agent's needs, the allowed nodes.

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec,
};
use skiff_schema::AllowedNodes;

use crate::{CompileError, Input};

/// Narrows a pod's nodes. Kubernetes takes a node that any term matches, so every term gets the
/// requirements, once for each way in which a node may be allowed.
pub(crate) fn narrow(input: &Input<'_>, spec: &mut PodSpec) -> Result<(), CompileError> {
    let needs = [
        is_in("kubernetes.io/os", vec!["linux".to_owned()]),
        is_in("kubernetes.io/arch", input.agent.architectures.clone()),
    ];
    let ways = match input.allowed_nodes() {
        Some(allowed) => ways(input, allowed)?,
        None => vec![NodeSelectorTerm::default()],
    };
    let affinity = spec.affinity.get_or_insert_default();
    let required = affinity
        .node_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default();
    let mut terms = std::mem::take(&mut required.node_selector_terms);
    if terms.is_empty() {
        terms.push(NodeSelectorTerm::default());
    }
    let narrowed = terms.iter().flat_map(|term| {
        let needs = &needs;
        ways.iter().map(move |way| {
            let both = |one: &Option<Vec<_>>, two: &Option<Vec<_>>| {
                let all: Vec<_> = one.iter().chain(two).flatten().cloned().collect();
                Some(all).filter(|all| !all.is_empty())
            };
            let mut expressions = needs.to_vec();
            expressions.extend(
                both(&term.match_expressions, &way.match_expressions)
                    .into_iter()
                    .flatten(),
            );
            NodeSelectorTerm {
                match_expressions: Some(expressions),
                match_fields: both(&term.match_fields, &way.match_fields),
            }
        })
    });
    *required = NodeSelector {
        node_selector_terms: narrowed.collect(),
    };
    Ok(())
}

/// One term for each way in which a node may be allowed.
fn ways(input: &Input<'_>, allowed: &AllowedNodes) -> Result<Vec<NodeSelectorTerm>, CompileError> {
    let mut names = allowed.names.clone();
    if !allowed.ips.is_empty() {
        let nodes = input.facts.nodes.as_ref();
        let nodes = nodes.ok_or(CompileError::AddressesUnknown)?;
        let has_address =
            |addresses: &[String]| addresses.iter().any(|one| allowed.ips.contains(one));
        let by_address = nodes.iter().filter(|node| has_address(&node.addresses));
        names.extend(by_address.map(|node| node.name.clone()));
    }
    names.sort();
    names.dedup();
    let labels = allowed
        .label_selector
        .iter()
        .map(|(key, value)| NodeSelectorTerm {
            match_expressions: Some(vec![is_in(key, vec![value.clone()])]),
            ..NodeSelectorTerm::default()
        });
    // By its name and not by its label `kubernetes.io/hostname`, which may differ from it.
    let names = names.into_iter().map(|name| NodeSelectorTerm {
        match_fields: Some(vec![is_in("metadata.name", vec![name])]),
        ..NodeSelectorTerm::default()
    });
    let ways: Vec<_> = labels.chain(names).collect();
    if ways.is_empty() {
        return Err(CompileError::NoAllowedNode {
            table: String::new(),
        });
    }
    Ok(ways)
}

fn is_in(key: &str, values: Vec<String>) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: "In".to_owned(),
        values: Some(values),
    }
}
