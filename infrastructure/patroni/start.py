#!/usr/bin/python3
"""Starts Patroni so that a former leader does not take the leader's lock from who took over.

Patroni 3.0.2 (Debian 12's) writes the lock unconditionally when its lease ran out meanwhile: a leader that was cut off for longer
than the ttl takes it back, and what was acknowledged by the other one is lost (patroni/patroni#2689). Here it writes the lock only
where it is its own, or where nobody has it and nobody was promoted since this node last saw the cluster. From 3.0.3 on Patroni is started
as it is; what is older than 3.0.2 is not started.
"""
# Patroni runs this file again, without its main part, for each start of PostgreSQL: it imports only what that needs.
import re
import sys
import time

KNOWN, MENDED = (3, 0, 2), (3, 0, 3)
# A fourth number, told by the REST interface: `hubctl database status` asks for it.
MARK = ".1"


def write_lock(dcs, cluster, lease, retry):
    """Writes the leader's lock if it may; whether it did. Sent twice, it succeeds twice."""
    from patroni.dcs.etcd3 import base64_encode

    key, name, sync = map(base64_encode, (dcs.leader_path, dcs._name, dcs.sync_path))
    put = [{"request_put": {"key": key, "value": name, "lease": lease}}]
    fields = {"compare": [{"key": key, "target": "VALUE", "value": name}], "success": put}
    if cluster:
        # Whoever is promoted writes `sync` first.
        seen = cluster.sync.index
        unchanged = {"target": "MOD", "mod_revision": str(seen)} if seen else {"target": "CREATE", "create_revision": "0"}
        compare = [{"key": key, "target": "CREATE", "create_revision": "0"}, {"key": sync, **unchanged}]
        fields["failure"] = [{"request_txn": {"compare": compare, "success": put}}]
    told = dcs._client.call_rpc("/kv/txn", fields, retry)
    if told.get("succeeded"):
        return True
    answers = told.get("responses") or [{}]
    return bool(answers[0].get("response_txn", {}).get("succeeded"))


def update_leader(self):
    """In place of Etcd3._update_leader: keeps the lease alive; whether the lock is this node's still."""
    from patroni.dcs.etcd3 import Etcd3Error, logger

    retry = self._retry.copy()

    def in_time(method, *args):
        return retry(method, *args, retry=retry)

    self._run_and_handle_exceptions(self._do_refresh_lease, True, retry=in_time)
    cluster, lease = self.cluster, self._lease
    if not lease:
        return False
    if cluster and cluster.leader and cluster.leader.session == lease:
        return True
    retry.deadline = retry.stoptime - time.time()
    if retry.deadline < 1:
        raise Etcd3Error("no time is left to write the leader's lock")
    if self._run_and_handle_exceptions(write_lock, self, cluster, lease, retry=in_time):
        return True
    logger.warning("the leader's lock is not this node's any more, and is not taken back")
    return False


def main():
    from patroni import version

    numbers = tuple(int(number) for number in re.findall(r"\d+", version.__version__))
    if numbers < KNOWN:
        return f"start.py: Patroni {version.__version__} takes the lead back from who took over: 3.0.2 or later is needed"
    if numbers < MENDED:
        from patroni.dcs import etcd3

        etcd3.Etcd3._update_leader = etcd3.catch_return_false_exception(update_leader)
        version.__version__ += MARK
    from patroni.__main__ import main as start

    return start()


if __name__ == "__main__":
    sys.exit(main())
