-- The role hub_app stays: it belongs to the cluster, and other databases may use it.
drop table worker_lease;
drop table quarantine;
drop function hub_event_partitions(date);
drop table event;
drop table event_batch;
drop table ledger_outbox;
drop table tenant;
drop procedure hub_protect(text);
