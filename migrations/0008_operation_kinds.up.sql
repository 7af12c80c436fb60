-- Not only deploys: backups, restores, drills, rotations, clean-ups, runbooks. Which kinds there are is the program's to say:
-- a list here would have to be widened before each.
alter table operation drop constraint operation_kind_check;
