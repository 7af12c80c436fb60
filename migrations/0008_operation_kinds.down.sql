-- Rows of the other kinds stay, since nothing of the past is lost; only new ones are refused.
alter table operation add constraint operation_kind_check check (kind in ('deploy', 'rollback')) not valid;
