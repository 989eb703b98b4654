//! Services and pools.

use serde_json::{Value, json};
use skiff_schema::{ResolvedTask, TaskFile, TaskOverrides};

fn resolve(text: &str) -> Result<ResolvedTask, String> {
    let read = TaskFile::read("task.yaml", text);
    let resolved = read.and_then(|file| file.tasks()[0].resolve(&TaskOverrides::default()));
    resolved.map_err(|faults| {
        let messages: Vec<&str> = faults.iter().map(skiff_schema::Fault::message).collect();
        messages.join("\n")
    })
}

fn service(text: &str) -> Result<Value, String> {
    let task = resolve(&format!("service: {text}\n"))?;
    Ok(task.service.expect("a service"))
}

fn pool(text: &str) -> Result<Value, String> {
    let task = resolve(&format!("pool: {text}\n"))?;
    Ok(task.pool.expect("a pool"))
}

#[test]
fn a_service_has_a_probe_and_one_replica() {
    let probe = json!({ "path": "/", "initial_delay_seconds": 1200, "timeout_seconds": 15 });
    assert_eq!(
        service("{}"),
        Ok(json!({ "readiness_probe": probe, "replica_policy": { "min_replicas": 1 } }))
    );
    let read = service("{readiness_probe: /health, replicas: 3}").expect("valid");
    assert_eq!(read["readiness_probe"]["path"], "/health");
    assert_eq!(read["replica_policy"], json!({ "min_replicas": 3 }));
}

#[test]
fn a_probe_may_send_json_as_text_or_as_a_mapping() {
    for data in ["'{\"a\": [1, 2]}'", "{a: [1, 2]}"] {
        let read = service(&format!(
            "{{readiness_probe: {{path: /, post_data: {data}}}}}"
        ));
        let read = read.expect("valid");
        assert_eq!(read["readiness_probe"]["post_data"], json!({ "a": [1, 2] }));
    }
}

#[test]
fn wrong_services_are_refused() {
    let wrong = [
        (
            "{readiness_probe: health}",
            "`service.readiness_probe`: `health` does not begin with `/`",
        ),
        (
            "{readiness_probe: {timeout_seconds: 1}}",
            "`service.readiness_probe` has no `path`",
        ),
        (
            "{readiness_probe: {path: /, headers: {A: 1}}}",
            "`service.readiness_probe.headers.A` must be a string, and this is a whole number",
        ),
        (
            "{replicas: 1, replica_policy: {min_replicas: 1}}",
            "`service`: `replicas` and `replica_policy` exclude each other",
        ),
        (
            "{replica_policy: {max_replicas: 1}}",
            "`service.replica_policy` has no `min_replicas`\n`service.replica_policy`: nothing says when there are more than `min_replicas`",
        ),
        (
            "{replica_policy: {min_replicas: 2, max_replicas: 1, target_qps_per_replica: 1}}",
            "`service.replica_policy`: `min_replicas` is above `max_replicas`",
        ),
        (
            "{replica_policy: {min_replicas: 1, max_replicas: 2}}",
            "`service.replica_policy`: nothing says when there are more than `min_replicas`",
        ),
        (
            "{replica_policy: {min_replicas: 1, target_qps_per_replica: 1}}",
            "`service.replica_policy`: `target_qps_per_replica` needs `max_replicas`",
        ),
        (
            "{replica_policy: {min_replicas: 1, max_replicas: 2, target_qps_per_replica: {H100: 1}}}",
            "`service.replica_policy`: targets for each kind of GPU need another load balancing",
        ),
        (
            "{load_balancing_policy: instance_aware_least_load}",
            "`service`: `instance_aware_least_load` needs targets for each kind of GPU",
        ),
        (
            "{load_balancing_policy: random}",
            "`service.load_balancing_policy`: `random` is not known here",
        ),
        (
            "{ports: 70000}",
            "`service.ports` must be from 1 to 65535, and this is 70000",
        ),
        ("{tls: {keyfile: a}}", "`service.tls` has no `certfile`"),
    ];
    for (text, message) in wrong {
        assert_eq!(service(text), Err(message.to_owned()), "{text}");
    }
    let text = "{readiness_probe: {path: /, post_data: '{a'}}";
    let told = service(text).expect_err("no JSON");
    assert!(
        told.starts_with("`service.readiness_probe.post_data`: this is no JSON"),
        "{told}"
    );
}

#[test]
fn a_service_by_kinds_of_gpu_needs_the_balancing_that_knows_them() {
    let text = "{load_balancing_policy: instance_aware_least_load, replica_policy: {min_replicas: 1, max_replicas: 2, target_qps_per_replica: {'H100:8': 2, A100: 1.5}}}";
    let read = service(text).expect("valid");
    let targets = &read["replica_policy"]["target_qps_per_replica"];
    assert_eq!(targets, &json!({ "H100:8": 2, "A100": 1.5 }));
}

#[test]
fn a_pool_has_a_fixed_size_or_follows_its_queue() {
    assert_eq!(pool("{workers: 3}"), Ok(json!({ "workers": 3 })));
    assert_eq!(
        pool("{max_workers: 4}"),
        Ok(json!({ "min_workers": 1, "max_workers": 4, "queue_length_threshold": 1 }))
    );
    assert_eq!(
        pool(
            "{min_workers: 0, max_workers: 4, queue_length_threshold: 2, upscale_delay_seconds: 10}"
        ),
        Ok(json!({
            "min_workers": 0, "max_workers": 4, "queue_length_threshold": 2, "upscale_delay_seconds": 10,
        }))
    );
    let wrong = [
        ("{}", "`pool` does not say how many workers it has"),
        (
            "{min_workers: 1}",
            "`pool`: `min_workers` needs `max_workers`",
        ),
        (
            "{min_workers: 4, max_workers: 1}",
            "`pool`: `min_workers` is above `max_workers`",
        ),
        (
            "{workers: 1, queue_length_threshold: 2}",
            "`pool`: `queue_length_threshold` needs `max_workers`",
        ),
        (
            "{workers: 1, upscale_delay_seconds: 2}",
            "`pool`: `upscale_delay_seconds` needs `max_workers`",
        ),
        (
            "{workers: -1}",
            "`pool.workers` must be at least 0, and this is -1",
        ),
        ("true", "`pool` must be a mapping, and this is a boolean"),
    ];
    for (text, message) in wrong {
        assert_eq!(pool(text), Err(message.to_owned()), "{text}");
    }
}
