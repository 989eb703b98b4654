//! The virtual instance types of Kubernetes: `4CPU--16GB`, `4CPU--16GB--A100:1`.

use crate::Accelerators;
use crate::grammar::Problem;
use crate::quantity::{Cpus, Memory};
use crate::resources::accelerators;

/// What the name of an instance type asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstanceType {
    pub(super) cpus: Cpus,
    pub(super) memory_bytes: u64,
    pub(super) accelerators: Option<Accelerators>,
}

impl InstanceType {
    /// `<cpus>CPU--<memory>GB` or `<cpus>CPU--<memory>GB--<accelerator>:<count>`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        Self::of(text).ok_or_else(|| {
            let help = "write `<cpus>CPU--<memory>GB` or `<cpus>CPU--<memory>GB--<accelerator>:<count>`, or `cpus`, `memory` and `accelerators`";
            Problem::new(format!("`{text}` is no instance type of Kubernetes"), help)
        })
    }

    fn of(text: &str) -> Option<Self> {
        let (cpus, rest) = text.split_once("CPU--")?;
        let (memory, rest) = rest.split_once("GB")?;
        let accelerators = match rest {
            "" => None,
            rest => {
                let set = rest.strip_prefix("--")?;
                let (_, count) = set.split_once(':')?;
                is_digits(count).then_some(())?;
                Some(accelerators::parse(set).ok()?)
            }
        };
        let memory = Memory::parse(decimal(memory)?).ok()?;
        Some(Self {
            cpus: Cpus::parse(decimal(cpus)?).ok()?,
            memory_bytes: memory.bytes_for(0)?,
            accelerators,
        })
    }
}

/// `16` and `1.5`, without signs, exponents and units.
fn decimal(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (is_digits(whole) && is_digits(fraction)).then_some(text)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
