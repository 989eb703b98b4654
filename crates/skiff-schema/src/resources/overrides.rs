//! Flags over the file: each applies to every candidate, and `none` takes a field back.

use serde_json::Value as Json;

use crate::ResourceOverrides;
use crate::faults::Fault;
use crate::grammar::Problem;
use crate::quantity::{Cpus, Memory};
use crate::resources::accelerators::AcceleratorChoice;
use crate::resources::grammar::{DISK_TIERS, NETWORK_TIERS, PRIORITIES};
use crate::resources::image::{self, Image};
use crate::resources::infra::Place;
use crate::resources::spec::Spec;
use crate::resources::written::Written;
use crate::resources::{disk, ports};
use crate::words;
use crate::{PortRange, resources::instance_type::InstanceType};

/// What a flag does with a field.
enum Change<T> {
    Keep,
    TakeBack,
    Set(T),
}

impl<T> Change<T> {
    fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::TakeBack => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    fn map<U>(self, to: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::TakeBack => Change::TakeBack,
            Self::Set(value) => Change::Set(to(value)),
        }
    }
}

impl<T: Clone> Clone for Change<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Keep => Self::Keep,
            Self::TakeBack => Self::TakeBack,
            Self::Set(value) => Self::Set(value.clone()),
        }
    }
}

/// The flags, parsed.
pub(super) struct Changes {
    infra: Change<Written<Place>>,
    cpus: Change<Written<Cpus>>,
    memory: Change<Written<Memory>>,
    accelerators: Change<Written<AcceleratorChoice>>,
    instance_type: Change<Written<String>>,
    disk_bytes: Change<u64>,
    image: Change<Written<Image>>,
    ports: Change<Vec<PortRange>>,
    use_spot: Option<bool>,
    others: Vec<(&'static str, Json)>,
}

impl Changes {
    /// Parses the flags; what is wrong with them goes to the faults.
    pub(super) fn of(flags: &ResourceOverrides, faults: &mut Vec<Fault>) -> Self {
        let image = |text: &str| Ok(Image::Any(image::parse(text)?.to_owned()));
        let instance_type = |text: &str| InstanceType::parse(text).map(|_| text.to_owned());
        Self {
            infra: change("--infra", flags.infra.as_ref(), Place::parse, faults),
            cpus: change("--cpus", flags.cpus.as_ref(), Cpus::parse, faults),
            memory: change("--memory", flags.memory.as_ref(), Memory::parse, faults),
            accelerators: change(
                "--gpus",
                flags.accelerators.as_ref(),
                AcceleratorChoice::of_flag,
                faults,
            ),
            instance_type: change(
                "--instance-type",
                flags.instance_type.as_ref(),
                instance_type,
                faults,
            ),
            disk_bytes: change("--disk-size", flags.disk_size.as_ref(), disk::size, faults)
                .map(|size| size.value),
            image: change("--image-id", flags.image_id.as_ref(), image, faults),
            ports: ports_of(&flags.ports, faults),
            use_spot: flags.use_spot,
            others: others_of(flags, faults),
        }
    }

    /// Applies them to a candidate.
    pub(super) fn apply_to(&self, spec: &mut Spec) {
        if !matches!(self.infra, Change::Keep) {
            (spec.cloud, spec.region, spec.zone) = (None, None, None);
        }
        self.infra.clone().apply(&mut spec.infra);
        self.cpus.clone().apply(&mut spec.cpus);
        self.memory.clone().apply(&mut spec.memory);
        self.accelerators.clone().apply(&mut spec.accelerators);
        self.instance_type.clone().apply(&mut spec.instance_type);
        self.disk_bytes.clone().apply(&mut spec.disk_bytes);
        self.image.clone().apply(&mut spec.image);
        self.ports.clone().apply(&mut spec.ports);
        spec.use_spot = self.use_spot.or(spec.use_spot);
        spec.others.extend(self.others.iter().cloned());
    }
}

fn is_none(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("none")
}

fn change<T>(
    flag: &str,
    text: Option<&String>,
    parse: impl FnOnce(&str) -> Result<T, Problem>,
    faults: &mut Vec<Fault>,
) -> Change<Written<T>> {
    match text.map(String::as_str) {
        None => Change::Keep,
        Some(text) if is_none(text) => Change::TakeBack,
        Some(text) => match parse(text) {
            Ok(value) => Change::Set(Written::by_flag(value, flag)),
            Err(problem) => {
                faults.push(problem.of(flag));
                Change::Keep
            }
        },
    }
}

fn ports_of(texts: &[String], faults: &mut Vec<Fault>) -> Change<Vec<PortRange>> {
    if texts.is_empty() {
        return Change::Keep;
    }
    if texts.iter().any(|text| is_none(text)) {
        if texts.len() > 1 {
            let fault = Fault::new("`--ports`: `none` and ports exclude each other");
            faults.push(fault.help("keep one of them"));
        }
        return Change::TakeBack;
    }
    let mut ranges = Vec::new();
    for text in texts {
        match ports::parse(text) {
            Ok(parsed) => ranges.extend(parsed),
            Err(problem) => faults.push(problem.of("--ports")),
        }
    }
    Change::Set(ports::merged(ranges))
}

fn others_of(flags: &ResourceOverrides, faults: &mut Vec<Fault>) -> Vec<(&'static str, Json)> {
    let disk_tier = |text: &str| word(text, &DISK_TIERS);
    let network_tier = |text: &str| word(text, &NETWORK_TIERS);
    let changes = [
        (
            "disk_tier",
            change("--disk-tier", flags.disk_tier.as_ref(), disk_tier, faults),
        ),
        (
            "network_tier",
            change(
                "--network-tier",
                flags.network_tier.as_ref(),
                network_tier,
                faults,
            ),
        ),
        (
            "local_disk",
            change(
                "--local-disk",
                flags.local_disk.as_ref(),
                disk::local_disk,
                faults,
            ),
        ),
    ];
    let mut others = Vec::new();
    for (name, change) in changes {
        match change {
            Change::Keep => {}
            Change::TakeBack => others.push((name, Json::Null)),
            Change::Set(text) => others.push((name, text.value.into())),
        }
    }
    if let Some(text) = &flags.priority {
        let (number, class) = priority(text.trim(), faults);
        others.push(("priority", number));
        others.push(("priority_class", class));
    }
    others
}

fn word(text: &str, known: &[&str]) -> Result<String, Problem> {
    let lower = text.to_lowercase();
    if known.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let help = format!("write {} or `none`", words::one_of(known));
    Err(Problem::new(format!("`{text}` is not known here"), help))
}

/// A number, or the name of a class; each takes the other back.
fn priority(text: &str, faults: &mut Vec<Fault>) -> (Json, Json) {
    if text.is_empty() || is_none(text) {
        return (Json::Null, Json::Null);
    }
    let Ok(number) = text.parse::<i64>() else {
        return (Json::Null, text.into());
    };
    if !PRIORITIES.contains(&number) {
        let (least, most) = (PRIORITIES.start(), PRIORITIES.end());
        let message = format!("`--priority` must be from {least} to {most}, and this is {number}");
        faults.push(Fault::new(message));
    }
    (number.into(), Json::Null)
}
