//! From what a candidate says to what a node has: places, defaults, and what excludes each other.

use crate::faults::Fault;
use crate::grammar::Problem;
use crate::quantity::{Cpus, GIGABYTE, Memory, decimal_text};
use crate::resources::autostop::AutostopSetting;
use crate::resources::disk::DEFAULT_DISK_BYTES;
use crate::resources::infra::Place;
use crate::resources::instance_type::InstanceType;
use crate::resources::spec::Spec;
use crate::resources::written::Written;
use crate::{Accelerators, Infra, ResolvedResources};

/// CPUs of a node that asks for none and has no accelerators.
const DEFAULT_MILLI_CPU: u64 = 2000;
/// CPUs for each accelerator.
const CPUS_PER_ACCELERATOR: u64 = 4;
/// Memory for each CPU.
const MEMORY_PER_CPU: Memory = Memory::PerCpu { bytes: GIGABYTE };
/// Memory for each CPU beside accelerators.
const MEMORY_BESIDE_ACCELERATORS: Memory = Memory::PerCpu {
    bytes: 4 * GIGABYTE,
};

/// Where a candidate runs, by `infra` or by its older form of three fields.
pub(super) fn place(spec: &Spec) -> Result<Place, Fault> {
    let older = [&spec.cloud, &spec.region, &spec.zone]
        .into_iter()
        .flatten();
    let older = older.collect::<Vec<_>>();
    if let (Some(infra), Some(older)) = (&spec.infra, older.first()) {
        let message = format!("`{}` and `{}` exclude each other", older.name, infra.name);
        let fault = Fault::new(message).help("keep `infra`: k8s, or k8s/<context>");
        let spans = [older.span, infra.span].into_iter().flatten();
        return Err(spans.fold(fault, |fault, span| fault.at(span, "")));
    }
    if let Some(infra) = &spec.infra {
        return Ok(infra.value.clone());
    }
    let cloud = spec.cloud.as_ref().map(|cloud| cloud.value.to_lowercase());
    let region = spec.region.as_ref().map(|region| region.value.as_str());
    let context = region.filter(|region| !matches!(*region, "" | "*"));
    let place = Place::of(cloud.as_deref().unwrap_or("*"), context).unwrap_or(Place::Anywhere);
    let zone = spec.zone.as_ref().filter(|zone| zone.value != "*");
    match (&place, zone) {
        (Place::Anywhere | Place::Here(_), Some(zone)) => {
            let help = "remove it; `infra: k8s/<context>` names a cluster";
            Err(zone.fault(Problem::new("Kubernetes has no zones to run in", help)))
        }
        _ => Ok(place),
    }
}

/// What a node of a candidate has; None where a fault says why not.
pub(super) fn resolve(
    spec: &Spec,
    infra: Option<Infra>,
    accelerators: Option<Accelerators>,
    faults: &mut Vec<Fault>,
) -> Option<ResolvedResources> {
    let amounts = match &spec.instance_type {
        Some(name) => by_instance_type(name, spec, accelerators, faults)?,
        None => by_fields(spec, accelerators, faults)?,
    };
    let context = infra.as_ref().and_then(Infra::context);
    let image = match &spec.image {
        None => None,
        Some(image) => match image.value.choose(context) {
            Ok(chosen) => Some(chosen.to_owned()),
            Err(problem) => {
                faults.push(image.fault(problem));
                return None;
            }
        },
    };
    let others = spec.others.iter().filter(|(_, value)| !value.is_null());
    let instance_type = spec.instance_type.iter();
    let instance_type =
        instance_type.map(|name| ("instance_type".to_owned(), name.value.clone().into()));
    Some(ResolvedResources {
        image,
        infra,
        disk_bytes: spec.disk_bytes.filter(|size| *size != DEFAULT_DISK_BYTES),
        ports: spec.ports.clone().unwrap_or_default(),
        labels: spec.labels.clone(),
        use_spot: spec.use_spot.unwrap_or(false),
        autostop: spec
            .autostop
            .as_ref()
            .and_then(AutostopSetting::get)
            .cloned(),
        others: instance_type
            .chain(others.map(|(name, value)| ((*name).to_owned(), value.clone())))
            .collect(),
        ..amounts
    })
}

/// What the name of an instance type asks for, if the other fields agree with it.
fn by_instance_type(
    name: &Written<String>,
    spec: &Spec,
    accelerators: Option<Accelerators>,
    faults: &mut Vec<Fault>,
) -> Option<ResolvedResources> {
    let instance = match InstanceType::parse(&name.value) {
        Ok(instance) => instance,
        Err(problem) => {
            faults.push(name.fault(problem));
            return None;
        }
    };
    for fault in disagreements(&instance, spec, accelerators.as_ref(), &name.value) {
        faults.push(match name.span {
            Some(span) => fault.at(span, "the instance type"),
            None => fault,
        });
    }
    Some(ResolvedResources {
        milli_cpu: instance.cpus.milli,
        memory_bytes: instance.memory_bytes,
        accelerators: accelerators.or(instance.accelerators),
        ..ResolvedResources::default()
    })
}

/// What other fields ask for that an instance type does not have.
fn disagreements(
    instance: &InstanceType,
    spec: &Spec,
    accelerators: Option<&Accelerators>,
    name: &str,
) -> Vec<Fault> {
    let differs = |asked: String| {
        let message = format!("{asked} are not what `{name}` has");
        Problem::new(message, "keep one of the two")
    };
    let cpus = spec.cpus.as_ref().and_then(|cpus| {
        let Cpus { milli, at_least } = cpus.value;
        let asked = || differs(format!("{} CPUs", decimal_text(milli, 1000)));
        (!agrees(instance.cpus.milli, milli, at_least)).then(|| cpus.fault(asked()))
    });
    let memory = spec.memory.as_ref().and_then(|memory| {
        let (bytes, at_least) = match memory.value {
            Memory::Bytes { bytes, at_least } => (bytes, at_least),
            per_cpu @ Memory::PerCpu { .. } => (
                per_cpu.bytes_for(instance.cpus.milli).unwrap_or(u64::MAX),
                true,
            ),
        };
        let asked = || differs(format!("{} GB of memory", decimal_text(bytes, GIGABYTE)));
        (!agrees(instance.memory_bytes, bytes, at_least)).then(|| memory.fault(asked()))
    });
    let accelerators = spec.accelerators.as_ref().and_then(|field| {
        let (asked, has) = (accelerators?, instance.accelerators.as_ref()?);
        let is_same = asked.name.eq_ignore_ascii_case(&has.name);
        let is_equal = is_same && asked.milli_count == has.milli_count;
        (!is_equal).then(|| field.fault(differs(format!("accelerators `{asked}`"))))
    });
    [cpus, memory, accelerators].into_iter().flatten().collect()
}

fn agrees(has: u64, asked: u64, at_least: bool) -> bool {
    has == asked || (at_least && has > asked)
}

/// What the fields ask for, with defaults where they ask for nothing.
fn by_fields(
    spec: &Spec,
    accelerators: Option<Accelerators>,
    faults: &mut Vec<Fault>,
) -> Option<ResolvedResources> {
    let default_cpu = accelerators.as_ref().map_or(DEFAULT_MILLI_CPU, |set| {
        set.milli_count * CPUS_PER_ACCELERATOR
    });
    let milli_cpu = spec
        .cpus
        .as_ref()
        .map_or(default_cpu, |cpus| cpus.value.milli);
    let default_memory = if accelerators.is_some() {
        MEMORY_BESIDE_ACCELERATORS
    } else {
        MEMORY_PER_CPU
    };
    let memory = spec
        .memory
        .as_ref()
        .map_or(default_memory, |memory| memory.value);
    let Some(memory_bytes) = memory.bytes_for(milli_cpu) else {
        let problem = || Problem::new("it is more memory than any node has", "");
        let by_memory = spec.memory.as_ref().map(|memory| memory.fault(problem()));
        let by_cpus = spec.cpus.as_ref().map(|cpus| cpus.fault(problem()));
        faults.extend(by_memory.or(by_cpus));
        return None;
    };
    Some(ResolvedResources {
        milli_cpu,
        memory_bytes,
        accelerators,
        ..ResolvedResources::default()
    })
}
