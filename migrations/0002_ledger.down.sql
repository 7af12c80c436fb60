drop table ledger_subtree;
drop table ledger_entry;
drop function ledger_is_append_only();
drop table ledger_head;
