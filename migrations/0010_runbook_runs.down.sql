-- the way back of 0010_runbook_runs
drop function hub_forget_runbook_runs(uuid, timestamptz, bigint);
drop table runbook_note;
drop table runbook_answer;
drop table runbook_line;
drop table runbook_run;
