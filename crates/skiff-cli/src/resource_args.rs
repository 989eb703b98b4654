//! The flags that change a task's resources.

use clap::Args;
use skiff_schema::ResourceOverrides;

/// What the command line changes of the resources: of every candidate, if the task has several.
#[derive(Debug, Args)]
#[command(next_help_heading = "Resources (`none` takes back what the file says)")]
pub(crate) struct ResourceArgs {
    /// Where to run: `k8s`, or `k8s/CONTEXT`
    #[arg(long)]
    infra: Option<String>,
    #[arg(long, hide = true, conflicts_with = "infra")]
    cloud: Option<String>,
    #[arg(long, hide = true, conflicts_with = "infra")]
    region: Option<String>,
    #[arg(long, hide = true, conflicts_with = "infra")]
    zone: Option<String>,
    /// CPUs of a node: `4`, `0.5`
    #[arg(long)]
    cpus: Option<String>,
    /// Memory of a node in GB, or with its unit: `16`, `512MB`
    #[arg(long)]
    memory: Option<String>,
    /// GPUs of a node: `A100`, `H100:8`
    #[arg(long)]
    gpus: Option<String>,
    /// CPUs, memory and GPUs in one: `4CPU--16GB`, `8CPU--64GB--A100:1`
    #[arg(short = 't', long)]
    instance_type: Option<String>,
    /// Disk of a node in GB: `512`
    #[arg(long)]
    disk_size: Option<String>,
    /// Kind of disk: `low`, `medium`, `high`, `ultra`, `best`
    #[arg(long)]
    disk_tier: Option<String>,
    /// Kind of network: `standard`, `best`
    #[arg(long)]
    network_tier: Option<String>,
    /// Local disk of a node: `nvme:500+`, `ssd`
    #[arg(long)]
    local_disk: Option<String>,
    /// Nodes that may vanish will do
    #[arg(long, overrides_with = "no_use_spot")]
    use_spot: bool,
    /// Nodes must not be ones that may vanish
    #[arg(long, overrides_with = "use_spot")]
    no_use_spot: bool,
    /// Container image: `docker:python:3.12`
    #[arg(long)]
    image_id: Option<String>,
    /// Ports to open: `8080`, `8000-8010`, `8080,9090`; may be given several times
    #[arg(long)]
    ports: Vec<String>,
}

impl ResourceArgs {
    /// The changes; a priority comes from the one command that has it.
    pub(crate) fn overrides(&self, priority: Option<&str>) -> ResourceOverrides {
        let use_spot = match (self.use_spot, self.no_use_spot) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        ResourceOverrides {
            infra: self.infra(),
            cpus: self.cpus.clone(),
            memory: self.memory.clone(),
            accelerators: self.gpus.clone(),
            instance_type: self.instance_type.clone(),
            disk_size: self.disk_size.clone(),
            disk_tier: self.disk_tier.clone(),
            network_tier: self.network_tier.clone(),
            local_disk: self.local_disk.clone(),
            image_id: self.image_id.clone(),
            priority: priority.map(str::to_owned),
            ports: self.ports.clone(),
            use_spot,
        }
    }

    /// `--infra`, or what stands for it in the words of earlier days.
    fn infra(&self) -> Option<String> {
        let legacy = [&self.cloud, &self.region, &self.zone];
        if self.infra.is_some() || legacy.iter().all(|part| part.is_none()) {
            return self.infra.clone();
        }
        let said = |part: &Option<String>| {
            let is_said = |word: &&str| *word != "*" && !word.eq_ignore_ascii_case("none");
            part.as_deref().filter(is_said).map(str::to_owned)
        };
        let [cloud, region, zone] = legacy.map(said);
        if cloud.is_none() && region.is_none() && zone.is_none() {
            return Some("none".to_owned());
        }
        let mut infra = cloud.unwrap_or_else(|| "kubernetes".to_owned());
        if region.is_some() || zone.is_some() {
            infra = format!("{infra}/{}", region.as_deref().unwrap_or("*"));
        }
        Some(zone.map_or(infra.clone(), |zone| format!("{infra}/{zone}")))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        resources: ResourceArgs,
    }

    fn overrides(words: &str) -> ResourceOverrides {
        let words = ["skiff"].into_iter().chain(words.split_whitespace());
        Line::parse_from(words).resources.overrides(None)
    }

    #[test]
    fn the_words_of_earlier_days_mean_an_infra() {
        for (words, infra) in [
            ("", None),
            ("--infra k8s/here", Some("k8s/here")),
            ("--cloud kubernetes", Some("kubernetes")),
            ("--region here", Some("kubernetes/here")),
            ("--cloud k8s --region here", Some("k8s/here")),
            ("--cloud aws --zone z", Some("aws/*/z")),
            ("--cloud none --region *", Some("none")),
        ] {
            assert_eq!(overrides(words).infra.as_deref(), infra, "{words}");
        }
    }

    #[test]
    fn the_last_word_on_spot_counts() {
        assert_eq!(overrides("").use_spot, None);
        assert_eq!(overrides("--use-spot --no-use-spot").use_spot, Some(false));
        assert_eq!(overrides("--no-use-spot --use-spot").use_spot, Some(true));
    }

    #[test]
    fn ports_add_up() {
        assert_eq!(overrides("--ports 80 --ports 90-99").ports, ["80", "90-99"]);
    }
}
