//! `skiff volumes`: made, made again, used, grown, taken, deleted.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use skiff_test::Namespace;
use skiff_test::bare::{idle, make, start};
use skiff_test::namespace::{small, with_namespace};

use crate::rights::{minimum, with_rules};

/// The file of SkyPilot's documentation, with the one storage class that a local cluster has.
const CACHE: &str = "\
name: my-builder-cache
type: k8s-pvc
infra: k8s
size: 50Gi
config:
  storage_class_name: standard
  access_mode: ReadWriteOnce
";

async fn claim(namespace: &Namespace, name: &str) -> PersistentVolumeClaim {
    let claim = namespace.api::<PersistentVolumeClaim>().get(name).await;
    claim.unwrap_or_else(|error| panic!("there is no claim {name}: {error}"))
}

/// A pod that has a claim mounted.
fn user_of(claim: &str, pod: &str) -> Value {
    idle(
        pod,
        &json!({ "spec": {
            "containers": [{ "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }],
        } }),
    )
}

async fn delete_pod(namespace: &Namespace, pod: &str) {
    let at_once = DeleteParams::default().grace_period(0);
    let deleted = namespace.api::<Pod>().delete(pod, &at_once).await;
    deleted.expect("the pod is there");
    let gone = |pod: Option<&Pod>| pod.is_none();
    namespace.wait_for_pod(pod, "end", gone).await;
}

#[tokio::test]
async fn a_volume_is_made_once_however_often_it_is_applied() {
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", CACHE);
        let skiff = namespace.skiff();
        skiff
            .run(&["volumes", "ls"])
            .await
            .code(0)
            .says("No volumes");
        let apply = ["volumes", "apply", "-y", "cache.yaml"];
        skiff
            .run(&apply)
            .await
            .code(0)
            .notes("my-builder-cache is made");
        let made = claim(namespace, "my-builder-cache").await;
        let again = skiff.run(&apply).await.code(0);
        again.notes("my-builder-cache is as it should be");
        // Nobody has to be asked where there is nothing to do.
        skiff.run(&["volume", "apply", "cache.yaml"]).await.code(0);
        let same = claim(namespace, "my-builder-cache").await;
        assert_eq!(
            made.metadata.resource_version,
            same.metadata.resource_version
        );

        let spec = made.spec.expect("a claim has a specification");
        assert_eq!(spec.access_modes, Some(vec!["ReadWriteOnce".to_owned()]));
        assert_eq!(spec.storage_class_name.as_deref(), Some("standard"));
        assert!(
            made.metadata.owner_references.is_none(),
            "no cluster owns it"
        );
        // Its class waits for the first pod: that is no fault of the volume's.
        let listed = skiff
            .run(&["volumes", "ls", "-o", "json"])
            .await
            .code(0)
            .json();
        assert_eq!(listed[0]["status"], "READY");
        assert_eq!(listed[0]["size"], "50Gi");
        assert_eq!(listed[0]["user"], "tester");

        skiff
            .run(&["volumes", "delete", "-y", "my-builder-cache"])
            .await
            .code(0);
        skiff
            .run(&["volumes", "ls"])
            .await
            .code(0)
            .says("No volumes");
        skiff.run(&apply).await.code(0).notes("is made");
    })
    .await;
}

#[tokio::test]
async fn a_volume_in_use_is_not_deleted_and_outlives_the_cluster() {
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", &CACHE.replace("50Gi", "1Gi"));
        let skiff = namespace.skiff();
        skiff
            .run(&["volumes", "apply", "-y", "cache.yaml"])
            .await
            .code(0);
        namespace.write(
            "task.yaml",
            "config: {kubernetes: {pod_config: {spec: {\
               containers: [{volumeMounts: [{name: cache, mountPath: /cache}]}], \
               volumes: [{name: cache, persistentVolumeClaim: {claimName: my-builder-cache}}]}}}}\n\
             run: echo kept > /cache/file\n",
        );
        namespace.launch("c", &["task.yaml"]).await.code(0);
        let table = skiff.run(&["volumes", "ls"]).await.code(0).says("IN_USE");
        assert!(
            table.stdout.lines().any(|line| line.ends_with("  c")),
            "{table}"
        );
        let delete = ["volumes", "delete", "-y", "-a"];
        let refused = skiff.run(&delete).await.code(1).one_error();
        refused.notes("in use by").notes(&namespace.head_name("c"));
        skiff.run(&["down", "-y", "c"]).await.code(0);
        skiff.run(&["volumes", "ls"]).await.code(0).says("READY");

        namespace
            .launch("d", &["task.yaml", "--no-setup"])
            .await
            .code(0);
        let purged = skiff
            .run(&["volumes", "delete", "-y", "--purge", "my-builder-cache"])
            .await;
        purged.code(0).notes("is being deleted");
        skiff
            .run(&["volumes", "ls"])
            .await
            .code(0)
            .says("NOT_READY")
            .says("being deleted");
        let refused = skiff
            .run(&["volumes", "apply", "-y", "cache.yaml"])
            .await
            .code(1);
        refused
            .notes("is being deleted")
            .notes(&namespace.head_name("d"));
        skiff.run(&["down", "-y", "d"]).await.code(0);
        namespace.wait_for_none::<PersistentVolumeClaim>().await;
    })
    .await;
}

#[tokio::test]
async fn a_volume_grows_where_its_class_allows_it_and_never_shrinks() {
    with_namespace(async |namespace| {
        let classes = Api::<StorageClass>::all(namespace.client.clone());
        let class: StorageClass = serde_json::from_value(json!({
            "metadata": { "name": namespace.name }, "provisioner": "skiff.dev/host-path",
            "allowVolumeExpansion": true, "volumeBindingMode": "WaitForFirstConsumer",
        }))
        .expect("a class");
        let made = classes.create(&PostParams::default(), &class).await;
        made.expect("the administrator may make classes");
        let growing = CACHE
            .replace("standard", &namespace.name)
            .replace("50Gi", "1Gi");
        namespace.write("growing.yaml", &growing);
        namespace.write("fixed.yaml", &CACHE.replace("50Gi", "1Gi"));
        let skiff = namespace.skiff();
        skiff
            .run(&["volumes", "apply", "-y", "growing.yaml"])
            .await
            .code(0);
        skiff
            .run(&["volumes", "apply", "-y", "fixed.yaml", "-n", "fixed"])
            .await
            .code(0);
        let larger = ["volumes", "apply", "-y", "growing.yaml", "--size", "2Gi"];
        skiff
            .run(&larger)
            .await
            .code(1)
            .notes("before a pod has used it");
        start(namespace, user_of("my-builder-cache", "first")).await;
        start(namespace, user_of("fixed", "second")).await;

        skiff.run(&larger).await.code(0).notes("grows to 2Gi");
        skiff
            .run(&["volumes", "ls"])
            .await
            .code(0)
            .says("1Gi -> 2Gi");
        skiff.run(&larger).await.code(0).notes("as it should be");
        let smaller = skiff.run(&["volumes", "apply", "-y", "growing.yaml"]).await;
        smaller
            .code(1)
            .one_error()
            .notes("has 2Gi, and 1Gi is less");
        let fixed = [
            "volumes",
            "apply",
            "-y",
            "fixed.yaml",
            "-n",
            "fixed",
            "--size",
            "2Gi",
        ];
        let refused = skiff.run(&fixed).await.code(1).one_error();
        refused
            .notes("storage class standard does not allow it")
            .notes("allowVolumeExpansion");
        let _ = classes
            .delete(&namespace.name, &DeleteParams::default())
            .await;
    })
    .await;
}

#[tokio::test]
async fn what_a_claim_keeps_is_refused_with_what_it_has() {
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", CACHE);
        namespace.write("class.yaml", &CACHE.replace("standard", "fast"));
        namespace.write("mode.yaml", &CACHE.replace("WriteOnce", "WriteMany"));
        let skiff = namespace.skiff();
        let apply = async |file: &str| skiff.run(&["volumes", "apply", "-y", file]).await;
        let unknown = apply("class.yaml").await.code(1).one_error();
        unknown
            .notes("there is no storage class `fast`")
            // Other tests make classes too.
            .notes("there are: ")
            .notes("standard");
        skiff
            .run(&["volumes", "ls"])
            .await
            .code(0)
            .says("No volumes");
        apply("cache.yaml").await.code(0);
        let class = apply("class.yaml").await.code(1).one_error();
        class.notes("has the storage class standard, and the storage class fast is asked for");
        let mode = apply("mode.yaml").await.code(1).one_error();
        mode.notes("has the access mode ReadWriteOnce, and ReadWriteMany is asked for");
        let missing = skiff
            .run(&["volumes", "delete", "-y", "other"])
            .await
            .code(1);
        missing.one_error().notes("there is no volume `other`");
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_there_is_taken_only_when_asked_for_and_left_in_place() {
    with_namespace(async |namespace| {
        let theirs = json!({
            "metadata": { "name": "data-1a2b3c4d-e5f6a7", "labels": { "skypilot-name": "data" } },
            "spec": { "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "5Gi" } } },
        });
        make::<PersistentVolumeClaim>(namespace, theirs.clone()).await;
        let mut plain = theirs;
        plain["metadata"] = json!({ "name": "plain" });
        make::<PersistentVolumeClaim>(namespace, plain).await;
        let skiff = namespace.skiff();
        let apply = ["volumes", "apply", "-y", "--type", "k8s-pvc", "-n"];
        let with = async |rest: &[&str]| skiff.run(&[&apply, rest].concat()).await;

        let taken = with(&["plain", "--size", "5Gi"]).await.code(1).one_error();
        taken.notes("there is a claim `plain`").notes("use_existing");
        let none = with(&["other", "--use-existing"]).await.code(1).one_error();
        none.notes("no claim for the volume `other`").notes("plain");
        let small = with(&["data", "--use-existing", "--size", "9Gi"]).await.code(1);
        small.one_error().notes("has 5Gi, and 9Gi is asked for");
        with(&["data", "--use-existing"]).await.code(0).notes("the claim data-1a2b3c4d-e5f6a7");
        with(&["data", "--use-existing"]).await.code(0).notes("as it should be");
        let second = with(&["data-1a2b3c4d-e5f6a7", "--use-existing"]).await.code(1);
        second.one_error().notes("is the volume `data` already");

        start(namespace, user_of("data-1a2b3c4d-e5f6a7", "user")).await;
        let deleted = skiff.run(&["volumes", "delete", "-y", "data"]).await.code(0);
        deleted.notes("its claim data-1a2b3c4d-e5f6a7 stays");
        skiff.run(&["volumes", "ls"]).await.code(0).says("No volumes");
        let left = claim(namespace, "data-1a2b3c4d-e5f6a7").await;
        assert!(left.metadata.deletion_timestamp.is_none(), "the claim stays");
        delete_pod(namespace, "user").await;
    })
    .await;
}

#[tokio::test]
async fn rights_that_are_missing_are_named_and_classes_may_be_unknown() {
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", CACHE);
        let mut rules = minimum();
        let claims = json!({
            "apiGroups": [""], "resources": ["persistentvolumeclaims"],
            "verbs": ["get", "list", "create", "patch", "delete"],
        });
        let rules = rules.as_array_mut().expect("a list of rules");
        rules.push(claims);
        let skiff = with_rules(namespace, json!(rules)).await;
        let applied = skiff
            .run(&["volumes", "apply", "-y", "cache.yaml"])
            .await
            .code(0);
        applied
            .notes("may not read storage classes")
            .notes("is made");
        skiff.run(&["volumes", "ls"]).await.code(0).says("READY");
        skiff.run(&["volumes", "delete", "-y", "-a"]).await.code(0);
    })
    .await;
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", CACHE);
        let skiff = with_rules(namespace, minimum()).await;
        for command in [
            &["volumes", "apply", "-y", "cache.yaml"][..],
            &["volumes", "ls"],
            &["volumes", "delete", "-y", "my-builder-cache"],
        ] {
            let refused = skiff.run(command).await.code(1).one_error();
            refused
                .notes("is forbidden")
                .notes("persistentvolumeclaims (all verbs)");
        }
        // Clusters need no volumes.
        skiff.run(&small("c", &["true"])).await.code(0);
        skiff.run(&["down", "-y", "c"]).await.code(0);
    })
    .await;
}

#[tokio::test]
async fn a_quota_of_storage_is_told() {
    with_namespace(async |namespace| {
        namespace.write("cache.yaml", CACHE);
        let quota = json!({
            "metadata": { "name": "storage" }, "spec": { "hard": { "requests.storage": "10Gi" } },
        });
        make::<ResourceQuota>(namespace, quota).await;
        let in_force = |quota: Option<&ResourceQuota>| {
            let status = quota.and_then(|quota| quota.status.as_ref());
            status.is_some_and(|status| status.hard.is_some())
        };
        let quotas = namespace.api::<ResourceQuota>();
        let waiting = kube::runtime::wait::await_condition(quotas, "storage", in_force);
        waiting.await.expect("quotas can be watched");
        let refused = namespace
            .skiff()
            .run(&["volumes", "apply", "-y", "cache.yaml"])
            .await;
        let refused = refused.code(1).one_error().notes("exceeded quota");
        refused.notes("hint: ask for less (`size`)");
    })
    .await;
}
