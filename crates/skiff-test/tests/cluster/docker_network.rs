//! Pains of networks, sockets and paths that nested containers share with the pod.

use serde_json::json;
use skiff_test::Namespace;
use skiff_test::namespace::with_namespace;

/// Makes an image of this pod's static busybox.
pub(crate) const BOX: &str =
    "tar -ch -C $(dirname $(command -v busybox)) busybox | docker import - box";

/// A task with this configuration of Docker and these changes to its pod.
async fn launch(namespace: &Namespace, docker: serde_json::Value, pod: serde_json::Value) {
    let task = json!({
        "resources": {"cpus": 0.1, "memory": 0.5},
        "config": {"kubernetes": {"enable_docker": docker, "pod_config": {"spec": pod}}},
        "setup": BOX,
    });
    namespace.write("task.yaml", &task.to_string());
    let words = ["launch", "-y", "-c", "c", "task.yaml"];
    namespace.skiff().run(&words).await.code(0);
}

/// What nested containers see of their network, what they reach, and who reaches them.
const NETWORK: &str = r#"
    id=$(id -u)
    run="docker run --rm"
    docker network create own >/dev/null
    echo who=$id default=$($run box /busybox cat /sys/class/net/eth0/mtu) own=$($run --network own box /busybox cat /sys/class/net/eth0/mtu)
    echo bridge=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' bridge) net=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' own)
    $run box /busybox sh -c "echo | /busybox nc -w 5 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT && echo service reached"
    docker run -d -p 18080:80 box /busybox sh -c 'while true; do echo served | /busybox nc -l -p 80; done' >/dev/null
    until busybox nc -w 1 127.0.0.1 18080 </dev/null | grep served; do sleep 0.2; done
    docker -H tcp://127.0.0.1:2375 version -f 'tcp={{.Server.Os}}'
    docker -H tcp://$(hostname -i | cut -d' ' -f1):2375 version >/dev/null 2>&1 || echo no tcp on the pods address
"#;

/// The folders of a job, seen by nested containers under their own names.
const PATHS: &str = r#"
    for dir in "$PWD" "$HOME" /tmp /data ~/sky_workdir; do
        echo "mine in $dir" > "$dir/seen" || exit 1
        docker run --rm -v "$dir:/x" box /busybox cat /x/seen || exit 1
    done
"#;

#[tokio::test]
async fn c08_c09_c10_c11_c12_c19_networks_sockets_and_paths_fit_the_pod_and_any_user() {
    with_namespace(async |namespace| {
        let pools = json!([{"base": "10.213.0.0/16", "size": 26}]);
        let docker =
            json!({"mode": "ALL", "mtu": 1300, "address_pools": pools, "expose_tcp": true});
        let pod = json!({
            "containers": [{
                "name": "ray-node",
                "securityContext": {"runAsUser": 4321, "runAsGroup": 4321},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
        });
        launch(namespace, docker, pod).await;
        let skiff = namespace.skiff();
        let looked = skiff.run(&["exec", "c", NETWORK]).await.code(0);
        looked
            .says("who=4321 default=1300 own=1300")
            .says("bridge=10.213.0.0/26 net=10.213.0.64/26")
            .says("service reached")
            .says("served")
            .says("tcp=linux")
            .says("no tcp on the pods address");
        let seen = skiff.run(&["exec", "c", PATHS]).await.code(0);
        for dir in ["/skiff/sky_workdir", "/tmp", "/data"] {
            seen.clone().says(&format!("mine in {dir}"));
        }
    })
    .await;
}

#[tokio::test]
async fn c10_a_pool_on_the_clusters_own_addresses_is_refused_with_whose_they_are() {
    with_namespace(async |namespace| {
        let pools = json!([{"base": "10.0.0.0/8", "size": 24}]);
        let task = json!({
            "resources": {"cpus": 0.1, "memory": 0.5},
            "config": {"kubernetes": {"enable_docker": {"mode": "ALL", "address_pools": pools}}},
            "run": "echo never",
        });
        namespace.write("task.yaml", &task.to_string());
        let refused = namespace
            .skiff()
            .run(&["launch", "-y", "-c", "c", "task.yaml"])
            .await;
        refused
            .code(100)
            .says("the address pool 10.0.0.0/8 contains ")
            .says("which is the cluster's")
            .never_says("never");
    })
    .await;
}
