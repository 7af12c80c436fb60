-- The role hub_app stays: it belongs to the cluster, and other databases may use it.
drop table worker_lease;
drop table quarantine;
drop function hub_prepare_event_days(date, integer);
drop table event;
drop table event_batch;
drop table ledger_outbox;
drop table tenant;
drop procedure hub_protect(text);
