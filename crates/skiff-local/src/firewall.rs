//! The host's packet filter rules of one cluster.
//!
//! The rules are pure data, marked by a comment; applying them is a thin layer over `iptables`.
//! Removal goes by the mark alone, so that it needs no record of what was added.

use std::net::Ipv4Addr;

use crate::{
    binaries::Binaries,
    cluster::Cluster,
    command::{CommandError, Invocation},
};

/// Tables that a cluster has rules in.
const TABLES: [&str; 2] = ["filter", "nat"];

/// One rule: table, chain and what follows, without the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    table: &'static str,
    chain: &'static str,
    matches: Vec<String>,
}

impl Rule {
    fn new(table: &'static str, chain: &'static str, matches: &str) -> Self {
        Self {
            table,
            chain,
            matches: matches.split(' ').map(str::to_owned).collect(),
        }
    }

    fn arguments(&self, action: &str, mark: &str) -> Vec<String> {
        let mut arguments: Vec<String> = ["-w", "-t", self.table, action, self.chain]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(["-m", "comment", "--comment", mark].map(str::to_owned));
        arguments.extend(self.matches.iter().cloned());
        arguments
    }
}

/// All rules of a cluster, in the order that they are to be looked at.
///
/// With egress, what comes from the bridge may leave and is masqueraded, and answers come back.
/// Without, nothing passes between the bridge and the rest, whatever the host forwards otherwise.
/// `resolver` is a name server on the host's loopback that pods reach by the bridge's address.
pub(crate) fn rules(cluster: &Cluster, resolver: Option<Ipv4Addr>) -> Vec<Rule> {
    let bridge = cluster.layout.bridge();
    let range = cluster.record.range.all();
    let host = cluster.record.range.host_address();
    let filter = |chain, matches: &str| Rule::new("filter", chain, matches);
    let mut rules = vec![
        filter("INPUT", &format!("-i {bridge} -j ACCEPT")),
        filter("FORWARD", &format!("-i {bridge} -o {bridge} -j ACCEPT")),
    ];
    if cluster.record.egress {
        rules.extend([
            filter("FORWARD", &format!("-i {bridge} -j ACCEPT")),
            filter(
                "FORWARD",
                &format!("-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            ),
            Rule::new(
                "nat",
                "POSTROUTING",
                &format!("-s {range} ! -d {range} ! -o {bridge} -j MASQUERADE"),
            ),
        ]);
        if let Some(resolver) = resolver {
            rules.extend(["udp", "tcp"].map(|protocol| {
                let matches = format!(
                    "-i {bridge} -d {host} -p {protocol} --dport 53 -j DNAT --to-destination {resolver}"
                );
                Rule::new("nat", "PREROUTING", &matches)
            }));
        }
    } else {
        rules.extend([
            filter("FORWARD", &format!("-i {bridge} -j DROP")),
            filter("FORWARD", &format!("-o {bridge} -j DROP")),
        ]);
    }
    rules
}

/// Adds the rules that are not there yet.
pub(crate) async fn apply(
    binaries: &Binaries,
    rules: &[Rule],
    mark: &str,
) -> Result<(), CommandError> {
    let iptables = || Invocation::new(binaries.path("iptables"));
    // Each is put first in its chain, so the last one to be looked at goes in first.
    for rule in rules.iter().rev() {
        if iptables()
            .args(rule.arguments("-C", mark))
            .run()
            .await
            .is_err()
        {
            iptables().args(rule.arguments("-I", mark)).run().await?;
        }
    }
    Ok(())
}

/// Removes every rule with the mark.
pub(crate) async fn remove(iptables: &std::path::Path, mark: &str) -> Result<(), CommandError> {
    for table in TABLES {
        let listed = Invocation::new(iptables)
            .args(["-w", "-t", table, "-S"])
            .run()
            .await?;
        for deletion in deletions(&listed, mark) {
            Invocation::new(iptables)
                .args(["-w", "-t", table])
                .args(deletion)
                .run()
                .await?;
        }
    }
    Ok(())
}

/// The arguments that delete each marked rule in the output of `iptables -S`.
fn deletions(listed: &str, mark: &str) -> Vec<Vec<String>> {
    let rules = listed.lines().filter_map(|line| line.strip_prefix("-A "));
    rules
        .map(|rule| {
            rule.split(' ')
                .map(|word| word.trim_matches('"').to_owned())
                .collect()
        })
        .filter(|words: &Vec<String>| {
            words
                .windows(2)
                .any(|w| w[0] == "--comment" && w[1] == mark)
        })
        .map(|words| std::iter::once("-D".to_owned()).chain(words).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layout::Layout, record::example};

    fn lines(egress: bool, resolver: Option<Ipv4Addr>) -> String {
        let layout = Layout::new("/s".as_ref(), &"local".parse().unwrap());
        let mut record = example();
        record.egress = egress;
        let bridge = layout.bridge();
        let rules = rules(&Cluster { layout, record }, resolver);
        let lines = rules
            .iter()
            .map(|rule| rule.arguments("-I", "mark").join(" "));
        lines
            .collect::<Vec<_>>()
            .join("\n")
            .replace(&bridge, "BRIDGE")
    }

    #[test]
    fn egress_masquerades_what_leaves_the_range() {
        let text = lines(true, None);
        assert!(text.contains(
            "-w -t nat -I POSTROUTING -m comment --comment mark \
             -s 10.200.0.0/16 ! -d 10.200.0.0/16 ! -o BRIDGE -j MASQUERADE"
        ));
        assert!(!text.contains("DROP") && !text.contains("DNAT"));
    }

    #[test]
    fn a_loopback_resolver_is_reached_by_the_bridge() {
        let text = lines(true, Some(Ipv4Addr::LOCALHOST));
        assert_eq!(text.matches("--to-destination 127.0.0.1").count(), 2);
    }

    #[test]
    fn without_egress_nothing_passes() {
        let text = lines(false, Some(Ipv4Addr::LOCALHOST));
        assert!(text.contains("-i BRIDGE -j DROP") && text.contains("-o BRIDGE -j DROP"));
        assert!(!text.contains("nat"));
        let accept = text.find("-i BRIDGE -o BRIDGE -j ACCEPT").unwrap();
        assert!(
            accept < text.find("DROP").unwrap(),
            "nodes may talk to each other"
        );
    }

    #[test]
    fn only_marked_rules_are_deleted() {
        let listed = "-P FORWARD ACCEPT\n\
            -A FORWARD -i docker0 -j ACCEPT\n\
            -A FORWARD -i b -m comment --comment skiff-1 -j ACCEPT\n\
            -A FORWARD -i b -m comment --comment \"skiff-12\" -j ACCEPT\n";
        let found = deletions(listed, "skiff-1");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].join(" "),
            "-D FORWARD -i b -m comment --comment skiff-1 -j ACCEPT"
        );
        assert_eq!(deletions(listed, "skiff-12").len(), 1);
    }
}
