"""The layers of isolation by name, with what each does; the names are those of a fork server's report."""

LAYERS = {
    "limits": "rlimits: address space, CPU, file size, open files, no core",
    "landlock": "file access by rule, no TCP, no signals out",
    "seccomp": "allow list of system calls: no sockets, no new processes",
    "no_new_privileges": "no privilege by exec, for good",
    "capabilities": "all capabilities dropped",
    "user_id": "an unprivileged user id per program (when started as root)",
    "dies_with_server": "killed by the kernel with the server; memory unreadable to others",
    "oom_score": "first to go when the machine or pod runs out of memory",
    "user_namespace": "own user namespace (when not started as root)",
    "pid_namespace": "own process namespace: nothing outlives the server",
    "net_namespace": "own network, with no interface up",
    "ipc_namespace": "own System V IPC and message queues",
    "uts_namespace": "own host name",
    "mount_namespace": "own mounts",
    "minimal_root": "a root with only interpreter, libraries, five devices; scratch in memory, bounded",
    "memory_cgroup": "memory of all programs together bounded",
    "pids_cgroup": "tasks of all programs together bounded",
}
