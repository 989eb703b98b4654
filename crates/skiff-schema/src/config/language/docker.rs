//! What `enable_docker` may say.

use crate::config::docker_notations::{
    BYTES, CPU, DOCKER, INSECURE, MIRROR, NETWORK, SIDECAR_IMAGE, VOLUME,
};
use crate::docker::StorageKind;
use crate::grammar::{Field, Form, Record};
use crate::resources::DISK_SIZE;

/// The smallest packet that IPv4 allows, and the largest that a bridge of Linux does.
const MTU: Form = Form::Integer {
    min: 68,
    max: 65_535,
};

const FORMS: Form = Form::OneOf(&[Form::Notation(&DOCKER), Form::Record(&DOCKER_RECORD)]);

pub(in crate::config) const ENABLE_DOCKER: Field = Field::new(
    "enable_docker",
    FORMS,
    "Docker for tasks: `true` or `ALL` is a daemon of the task's own, `BUILD` builds images only. A mapping says more of it; all but `mode`, `enabled` and `cache_volume` in it is of Skiff, not of SkyPilot",
)
.default("`false`")
.example("enable_docker: true");

static DOCKER_RECORD: Record = Record {
    name: "EnableDocker",
    fields: &[
        Field::new(
            "mode",
            Form::Notation(&DOCKER),
            "`ALL` or `BUILD`; `false` for none, to say the rest for those that ask for Docker",
        )
        .default("none: it, or `enabled`, must be written")
        .example("mode: ALL"),
        Field::new(
            "enabled",
            Form::Notation(&DOCKER),
            "The same, as some versions of SkyPilot call it",
        )
        .example("enabled: true"),
        Field::new(
            "cache_volume",
            Form::Notation(&VOLUME),
            "A volume of `skiff volumes` that keeps images and build caches; each node has its own folder there",
        )
        .default("none: they end with the pod")
        .example("cache_volume: docker-cache"),
        Field::new(
            "storage",
            STORAGE,
            "What images and containers lie on: `memory`, a disk image in a file (`loop`), a `block` device, or the first that works (`auto`). `BUILD` has `auto` and `memory`",
        )
        .default("`auto`")
        .example("storage: {kind: memory, size: 10Gi}"),
        Field::new(
            "resources",
            Form::Record(&RESOURCES),
            "What the sidecar asks for and may have at most, beside the task's own, as Kubernetes writes it",
        ),
        Field::new(
            "image",
            Form::Notation(&SIDECAR_IMAGE),
            "The sidecar's image",
        )
        .default("`images.docker` or `images.buildkit`")
        .example("image: docker:28.5-dind"),
        Field::new(
            "registry_mirrors",
            Form::List(&Form::Notation(&MIRROR)),
            "Registries that are asked before Docker Hub",
        )
        .example("registry_mirrors: [\"https://mirror.gcr.io\"]"),
        Field::new(
            "insecure_registries",
            Form::List(&Form::Notation(&INSECURE)),
            "Registries without TLS, or with certificates that nobody signed; networks with `ALL` only",
        )
        .example("insecure_registries: [\"registry.lan:5000\"]"),
        Field::new(
            "address_pools",
            Form::List(&Form::Record(&ADDRESSES)),
            "Where nested networks get their addresses; with `ALL` only",
        )
        .default("private ones that the pod does not use")
        .example("address_pools: [{base: 10.200.0.0/16, size: 24}]"),
        Field::new(
            "mtu",
            MTU,
            "The largest packet of nested networks in bytes; with `ALL` only",
        )
        .default("the pod's own")
        .example("mtu: 1400"),
        Field::new(
            "allow_slow_storage",
            Form::Bool,
            "Whether storage drivers that copy whole images (`vfs`, `native`) may be used where no other works",
        )
        .default("`false`")
        .example("allow_slow_storage: true"),
        Field::new(
            "expose_tcp",
            Form::Bool,
            "Whether the daemon listens on localhost:2375 of the pod too, for tools that know no socket; with `ALL` only",
        )
        .default("`false`")
        .example("expose_tcp: true"),
    ],
};

const STORAGE: Form = Form::OneOf(&[
    Form::Word(&StorageKind::WORDS),
    Form::Record(&STORAGE_RECORD),
]);

static STORAGE_RECORD: Record = Record {
    name: "DockerStorage",
    fields: &[
        Field::new("kind", Form::Word(&StorageKind::WORDS), "What it is")
            .example("kind: memory")
            .required(),
        Field::new(
            "size",
            Form::Notation(&DISK_SIZE),
            "Its size: gigabytes, or a number with a unit; `block` needs one",
        )
        .default("as much as there is")
        .example("size: 10Gi"),
    ],
};

static RESOURCES: Record = Record {
    name: "DockerResources",
    fields: &[
        Field::new(
            "requests",
            Form::Record(&AMOUNTS),
            "What the scheduler keeps for it",
        ),
        Field::new(
            "limits",
            Form::Record(&AMOUNTS),
            "What it may have at most, nested containers included",
        ),
    ],
};

static AMOUNTS: Record = Record {
    name: "DockerAmounts",
    fields: &[
        Field::new("cpu", Form::Notation(&CPU), "CPUs").example("cpu: 500m"),
        Field::new("memory", Form::Notation(&BYTES), "Memory").example("memory: 2Gi"),
        Field::new(
            "ephemeral-storage",
            Form::Notation(&BYTES),
            "The node's own disk",
        )
        .example("ephemeral-storage: 20Gi"),
    ],
};

static ADDRESSES: Record = Record {
    name: "DockerAddresses",
    fields: &[
        Field::new("base", Form::Notation(&NETWORK), "All addresses")
            .example("base: 10.200.0.0/16")
            .required(),
        Field::new(
            "size",
            Form::Integer { min: 1, max: 126 },
            "The length of each network's prefix",
        )
        .example("size: 24")
        .required(),
    ],
};
