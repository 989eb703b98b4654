//! A user's clock that is wrong by a day, in both directions.

use std::path::PathBuf;

use skiff_test::namespace::{small, with_namespace};
use skiff_test::{Namespace, Program};

/// Seconds of a day.
const DAY: &str = "86400";
/// A library that shifts the time of day of the program which it is loaded into.
const SHIFT: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, \"clock_gettime\");
    int result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME)
        time->tv_sec += SECONDS;
    return result;
}
";

/// The compiler that this very test is linked with makes the library.
async fn library(namespace: &Namespace, name: &str, seconds: &str) -> PathBuf {
    let source = namespace.write(&format!("{name}.c"), SHIFT);
    let library = source.with_extension("so");
    let words = [
        "-shared",
        "-fPIC",
        &format!("-DSECONDS=({seconds})"),
        "-o",
        library.to_str().expect("a path of this test"),
        source.to_str().expect("a path of this test"),
        "-ldl",
    ];
    Program::new("/usr/bin/cc", namespace.home())
        .run(&words)
        .await
        .code(0);
    library
}

#[tokio::test]
async fn a_clock_that_is_a_day_off_changes_nothing() {
    with_namespace(async |namespace| {
        for (name, seconds) in [("fast", DAY.to_owned()), ("slow", format!("-{DAY}"))] {
            let library = library(namespace, name, &seconds).await;
            let skiff = namespace.skiff().with("LD_PRELOAD", library);
            namespace.write("code/data", "synced\n");
            let flags = ["-i", "30", "--down", "--workdir", "code", "cat data"];
            skiff
                .run(&small(name, &flags))
                .await
                .code(0)
                .says(") synced");
            namespace.write("code/data", "synced again\n");
            let again = ["--workdir", "code", "cat data"];
            skiff
                .run(&small(name, &again))
                .await
                .code(0)
                .says(") synced again");
            let status = skiff.run(&["status", name]).await.code(0);
            status
                .says("UP")
                .says("30m (down)")
                .never_says("day")
                .never_says(" hr");
            let queue = skiff.run(&["queue", name]).await.code(0);
            queue.says("SUCCEEDED").never_says("day").never_says(" hr");
        }
        // The launch of another whose clock is right is not taken for dead by one whose clock is a day ahead.
        let first = namespace.skiff();
        let second = namespace
            .skiff()
            .with("LD_PRELOAD", library(namespace, "other", DAY).await);
        let (one, two) = (small("c", &["echo one"]), small("c", &["echo two"]));
        let (first, second) = tokio::join!(first.run(&one), second.run(&two));
        first.code(0).says(") one");
        second.code(0).says(") two");
        namespace.skiff().run(&["down", "-y", "-a"]).await.code(0);
        namespace.assert_nothing_left().await;
    })
    .await;
}
