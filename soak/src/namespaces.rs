//! Separate namespaces for this program: network, processes, mounts. Nothing in them reaches the machine's network, and
//! the kernel removes them with this program's last process, in whatever way it ends.

use std::{
    env,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::programs::along_path;

/// The environment variable by which this program knows that it runs inside.
const INSIDE: &str = "EPIONE_SOAK_INSIDE";

pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Checks that namespaces can be made here; the error says why not, and what to do.
pub fn available() -> anyhow::Result<()> {
    for (program, package) in [
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("ip", "iproute2"),
        ("tc", "iproute2"),
    ] {
        if !along_path(program) {
            bail!(
                "{program} is not installed: run `scripts/setup soak`, or install the package {package}"
            );
        }
    }
    // Everything that a run does later, tried once in namespaces that end with the command.
    let attempt = "mount -t tmpfs tmpfs /run && ip netns add there && \
                   ip link add near type veth peer name far netns there && \
                   ip link add middle type bridge && ip link set near master middle && \
                   tc qdisc add dev near root tbf rate 1mbit burst 32kb latency 50ms && \
                   nsenter --net=/run/netns/there -- true";
    let output = unshare()
        .args(["sh", "-c", attempt])
        .stdin(Stdio::null())
        .output()
        .context("cannot start unshare")?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "this user cannot make network namespaces with bridges, veth and tbf here ({}): run it as root, on a \
         kernel that supports them",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

/// Replaces this process by the same program with the same arguments, inside. Returns only if that fails.
pub fn enter() -> anyhow::Error {
    if let Err(error) = available() {
        return error;
    }
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error.into(),
    };
    let error = unshare().arg(program).args(env::args_os().skip(1)).env(INSIDE, "1").exec();
    anyhow::Error::from(error).context("cannot start unshare")
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // When `unshare` ends, its child is killed. The child is the first process of the namespace: when it ends, the
    // kernel ends all others.
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}
