//! Answers in the place of a Docker daemon that this pod does not have: every program gets to know why, and what to
//! use instead.

use std::fs;
use std::io;
use std::time::Duration;

use serde_json::json;
use skiff_proto::paths;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::folder;
use crate::layout::Layout;

/// How long a client may take for its request, and afterwards to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to send an image that nobody wants.
const UPLOAD: Duration = Duration::from_mins(10);
/// The longest head of a request that is read.
const HEAD: usize = 64 << 10;
/// The API that clients are told, which all of the last years know.
const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.44\r\nBuilder-Version: 2\r\nDocker-Experimental: false\r\n\
                    Ostype: linux\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";

const CONTAINERS: &str = "this pod builds images and runs no containers (`enable_docker: BUILD`). What is to run in an \
                          image can be a step of a build (`RUN`), or a task with that `image_id`; `docker run` needs \
                          `enable_docker: ALL`";
const IMAGES: &str = "this pod builds images and keeps none (`enable_docker: BUILD`). `docker buildx build --push -t \
                      REGISTRY/IMAGE .` builds and pushes, `--output type=docker,dest=image.tar` writes a file";
const BUILDS: &str = "the builder of this pod is called `skiff`: `docker buildx build --builder skiff .`, or without \
                      the option where BUILDX_BUILDER and BUILDX_CONFIG are as Skiff has set them";
const OTHERS: &str = "there is no Docker daemon in this pod, it builds images only (`enable_docker: BUILD`): `docker \
                      buildx build` works, everything else of Docker needs `enable_docker: ALL`";

/// Opens the socket where Docker's would be.
pub(crate) fn listen(layout: &Layout) -> io::Result<UnixListener> {
    folder::of_sockets(layout)?;
    let socket = layout.at(paths::DOCKER_SOCKET);
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    folder::give_to_group(&socket)?;
    Ok(listener)
}

/// Answers for as long as the agent lives.
pub(crate) async fn serve(listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(async move {
                    let _ = answer(client).await;
                });
            }
            // Too many open files: some will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut client: UnixStream) -> io::Result<()> {
    let head = timeout(PATIENCE, head(&mut client)).await??;
    let text = String::from_utf8_lossy(&head).into_owned();
    let line = text.lines().next().unwrap_or_default();
    if line.contains("/images/load") {
        // A client that is still sending would tell of that in the place of the answer.
        timeout(UPLOAD, body(&mut client, head)).await??;
    }
    if let Some(answer) = to(line) {
        client.write_all(answer.as_bytes()).await?;
    }
    client.shutdown().await?;
    let rest = async {
        while client.read(&mut [0; 4096]).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(PATIENCE, rest).await?
}

/// Takes what comes behind the head, up to the end of a body in chunks.
async fn body(client: &mut UnixStream, mut last: Vec<u8>) -> io::Result<()> {
    const END: &[u8] = b"0\r\n\r\n";
    let mut buffer = vec![0; 64 << 10];
    while !last.ends_with(END) {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            count => last.extend_from_slice(&buffer[..count]),
        }
        let surplus = last.len().saturating_sub(END.len());
        last.drain(..surplus);
    }
    Ok(())
}

async fn head(client: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        match client.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if head.len() > HEAD => return Err(io::ErrorKind::InvalidData.into()),
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(head)
}

/// The answer to a request's first line. None is none at all: `docker login` then asks the registry itself, as it does
/// where there is no daemon.
fn to(line: &str) -> Option<String> {
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.trim_start_matches('/').split('/').peekable();
    let is_version =
        |part: &&str| part.starts_with('v') && part[1..].starts_with(|c: char| c.is_ascii_digit());
    parts.next_if(is_version);
    let message = match parts.next()? {
        "_ping" if method == "HEAD" => return Some(PING.to_owned()),
        "_ping" => return Some(format!("{PING}OK")),
        "auth" => return None,
        "containers" | "exec" => CONTAINERS,
        "images" | "distribution" => IMAGES,
        "build" | "session" | "grpc" => BUILDS,
        _ => OTHERS,
    };
    let body = json!({ "message": message }).to_string();
    Some(format!(
        "HTTP/1.1 501 Not Implemented\r\nApi-Version: 1.44\r\nContent-Type: application/json\r\nContent-Length: \
         {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::to;

    #[test]
    fn every_request_is_told_why_not_and_what_to_use() {
        let ping = to("GET /_ping HTTP/1.1").expect("an answer");
        assert!(ping.starts_with("HTTP/1.1 200") && ping.ends_with("\r\n\r\nOK"));
        let head = to("HEAD /_ping HTTP/1.1").expect("an answer");
        assert!(head.ends_with("\r\n\r\n"), "a head has no body");
        for (line, named) in [
            (
                "POST /v1.44/containers/create?name=x HTTP/1.1",
                "`enable_docker: ALL`",
            ),
            ("POST /v1.44/images/create?fromImage=a HTTP/1.1", "--push"),
            ("POST /images/load HTTP/1.1", "type=docker,dest=image.tar"),
            ("POST /v1.44/grpc HTTP/1.1", "--builder skiff"),
            ("GET /info HTTP/1.1", "no Docker daemon"),
            ("GET /volumes HTTP/1.1", "no Docker daemon"),
        ] {
            let answer = to(line).expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
            assert!(answer.contains(named), "{line}: {answer}");
        }
        assert_eq!(to("POST /v1.44/auth HTTP/1.1"), None);
        assert_eq!(to("nonsense"), None);
    }
}
