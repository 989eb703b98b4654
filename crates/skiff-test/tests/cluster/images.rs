//! Task images: one that does not exist, and ones that lack what most have.

use std::sync::Arc;

use anyhow::Result;
use skiff_test::Namespace;
use skiff_test::archive::Image;
use skiff_test::namespace::with_namespace;
use tokio::sync::OnceCell;

const SH_ONLY: &str = "docker.io/skiff-test/sh:1";
const NOT_ROOT: &str = "docker.io/skiff-test/user:1";
const NO_SHELL: &str = "docker.io/skiff-test/empty:1";

/// The programs that these images have, all of them busybox.
const PROGRAMS: &[&str] = &[
    "sh", "cat", "chmod", "mkdir", "mv", "ls", "id", "echo", "sleep", "test", "env", "pwd", "ps",
    "readlink",
];

/// Loads the images into the local cluster, once for all tests.
async fn load(namespace: &Namespace) {
    static LOADED: OnceCell<()> = OnceCell::const_new();
    LOADED
        .get_or_init(|| async { import(namespace).await.expect("the images can be made") })
        .await;
}

async fn import(namespace: &Namespace) -> Result<()> {
    // The base image has a static busybox: one is enough to make images that have nothing else.
    namespace.launch("source", &["true"]).await.code(0);
    let busybox = Arc::new(
        namespace
            .inside("source", "cat $(command -v busybox)")
            .await,
    );
    namespace
        .skiff()
        .run(&["down", "-y", "source"])
        .await
        .code(0);
    let images = [
        with_programs(Image::new(SH_ONLY), &busybox)?.folder("root", 0o700, 0)?,
        with_programs(Image::new(NOT_ROOT), &busybox)?.with_config("User", "4321:4321"),
        Image::new(NO_SHELL).file("hello", 0o644, b"nothing to run here\n")?,
    ];
    for image in images {
        let file = image.save(namespace.home())?;
        namespace.kubernetes.load(&file).await?;
    }
    Ok(())
}

fn with_programs(image: Image, busybox: &[u8]) -> Result<Image> {
    let mut image = image
        .folder("bin", 0o755, 0)?
        .folder("tmp", 0o1777, 0)?
        .file("bin/busybox", 0o755, busybox)?;
    for program in PROGRAMS {
        image = image.link(&format!("bin/{program}"), "busybox")?;
    }
    Ok(image)
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_named_with_its_cause() {
    with_namespace(async |namespace| {
        let image = [
            "--image-id",
            "docker:registry.invalid/nobody/nothing:1",
            "echo never",
        ];
        let failed = namespace
            .launch("c", &image)
            .await
            .code(1)
            .one_error()
            .never_says("never");
        let failed = failed
            .notes(&namespace.head_name("c"))
            .notes("registry.invalid/nobody/nothing:1 cannot be pulled");
        failed.notes("hint: check the name and tag of the image");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn an_image_name_that_is_none_is_refused() {
    with_namespace(async |namespace| {
        let failed = namespace
            .launch("c", &["--image-id", "docker:UPPER/case", "true"])
            .await
            .code(1);
        failed.notes("UPPER/case");
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn an_image_with_sh_alone_runs_tasks() {
    with_namespace(async |namespace| {
        load(namespace).await;
        namespace.write("code/data.txt", "some data\n");
        namespace.write("task.yaml", "workdir: code\nsetup: echo setting up\nrun: |\n  cat data.txt\n  echo $0 in $(pwd)\n  exit 5\n");
        let image = format!("docker:{SH_ONLY}");
        let finished = namespace.launch("c", &["--image-id", &image, "task.yaml"]).await.code(100);
        finished.says("setting up").says("some data").says("/sky_workdir");
        namespace.skiff().run(&["exec", "c", "ls ~/sky_logs"]).await.code(0).says("1-");
        namespace.skiff().run(&["down", "-y", "c"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}

#[tokio::test]
async fn an_image_with_sh_alone_has_docker_when_it_asks() {
    with_namespace(async |namespace| {
        load(namespace).await;
        namespace.write(
            "task.yaml",
            "config: {kubernetes: {enable_docker: true}}\nrun: docker version\n",
        );
        let image = format!("docker:{SH_ONLY}");
        let finished = namespace
            .launch("c", &["--image-id", &image, "task.yaml"])
            .await
            .code(0);
        finished.says("Client:").says("Server:");
    })
    .await;
}

#[tokio::test]
async fn an_image_whose_user_is_not_root_runs_tasks_and_docker() {
    with_namespace(async |namespace| {
        load(namespace).await;
        namespace.write("code/data.txt", "some data\n");
        namespace.write(
            "task.yaml",
            "workdir: code\nconfig: {kubernetes: {enable_docker: true}}\n\
             run: |\n  id -u\n  cat data.txt\n  echo mine > written && cat written\n  docker version\n",
        );
        let image = format!("docker:{NOT_ROOT}");
        let finished = namespace.launch("c", &["--image-id", &image, "task.yaml"]).await.code(0);
        finished.says(") 4321\n").says("some data").says(") mine\n").says("Server:");
    })
    .await;
}

#[tokio::test]
async fn an_image_without_a_shell_is_told_to_lack_one() {
    with_namespace(async |namespace| {
        load(namespace).await;
        let image = format!("docker:{NO_SHELL}");
        let failed = namespace
            .launch("c", &["--image-id", &image, "true"])
            .await
            .code(1)
            .one_error();
        failed
            .notes(&namespace.head_name("c"))
            .notes("hint: the image has no /bin/sh");
        namespace.assert_nothing_left().await;
    })
    .await;
}
