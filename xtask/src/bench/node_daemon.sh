# Runs an unpacked image's dockerd on this machine: `sh node_daemon.sh ROOT FOLDER`, as root, in namespaces of mounts,
# networks and processes of its own. Each line of the input is then run in FOLDER below ROOT; its output comes out.
set -e
root=$1
folder=$2
mount --make-rprivate /
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp" "$root/root"
# Containers leave the root that they come from, which must be a mount for that.
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs run "$root/run"
ip link set lo up
inside() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    DOCKER_HOST=unix:///run/docker.sock chroot "$root" "$@"
}
inside dockerd --host=unix:///run/docker.sock --cgroup-parent=skiff-bench > "$root/dockerd.log" 2>&1 &
daemon=$!
# The groups that the daemon made are the machine's.
trap 'kill $daemon; wait $daemon || true; find /sys/fs/cgroup -depth -type d -path "*/skiff-bench*" -exec rmdir {} + 2> /dev/null' EXIT
tries=0
until inside docker version > /dev/null 2>&1; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ] || ! kill -0 $daemon 2> /dev/null; then
    tail -n 5 "$root/dockerd.log" >&2
    exit 1
  fi
  sleep 0.1
done
while read -r line; do
  inside sh -c "cd $folder && $line" < /dev/null
done
