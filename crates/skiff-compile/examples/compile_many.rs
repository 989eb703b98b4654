//! Compiles a task of many nodes once and prints what that took: seconds, then KiB of memory at the
//! most that the process had. `cargo xtask bench compile_1000` runs it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement needs a clock; the crate itself is pure"
)]

use std::error::Error;
use std::fs;
use std::time::Instant;

use skiff_compile::{AgentBuild, ClusterFacts, Ids, Input, Version, compile};
use skiff_proto::ClusterKey;
use skiff_schema::{Config, ConfigLayer, TaskFile, TaskOverrides};

const TASK: &str = "
name: many
num_nodes: 1000
run: python train.py
resources:
  cpus: 8
  memory: 32
  image_id: docker:registry.example.com/train:1
  labels: {team: vision}
secrets:
  SKYPILOT_DOCKER_USERNAME: ada
  SKYPILOT_DOCKER_PASSWORD: analytical-engine
  SKYPILOT_DOCKER_SERVER: registry.example.com
config:
  kubernetes:
    enable_docker: true
";

const CONFIG: &str = "
kubernetes:
  custom_metadata:
    labels: {cost-center: research}
    annotations: {example.com/owner: ada}
  pod_config:
    spec:
      priorityClassName: batch
      tolerations:
        - {key: dedicated, operator: Exists, effect: NoSchedule}
      volumes:
        - name: data
          persistentVolumeClaim: {claimName: data}
      containers:
        - name: ray-node
          env:
            - {name: OMP_NUM_THREADS, value: '8'}
          volumeMounts:
            - {name: data, mountPath: /data}
";

fn main() -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let file = TaskFile::read("task.yaml", TASK)?;
    let task = file.tasks()[0].resolve(&TaskOverrides::default())?;
    let config = Config::merge([ConfigLayer::read("config.yaml", CONFIG)?]);
    let plan = compile(&Input {
        task: &task,
        resources: task.first(),
        config: &config.for_task(None, &task.config),
        facts: &ClusterFacts::new(Version::v1(34), None),
        ids: &Ids {
            cluster: "many".to_owned(),
            user: "ada".to_owned(),
            user_hash: "0123abcd".to_owned(),
            namespace: "research".to_owned(),
            context: "bench".to_owned(),
            launching: None,
            command: "skiff launch task.yaml".to_owned(),
            key: ClusterKey::new([0; 32]),
        },
        agent: &AgentBuild::of(b"agent", &["amd64"]),
    })?;
    let pods = plan.nodes.pods("0f9c6b0e-2f1d-4c57-8b3c-6d3a4b7e9a10");
    let count = pods.map(std::hint::black_box).count();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(count, 1000);
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|value| value.split_whitespace().next());
    println!("{seconds:.6}");
    println!("{}", peak.ok_or("the kernel does not tell the peak")?);
    Ok(())
}
