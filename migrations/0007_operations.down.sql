-- the way back of 0007_operations
drop table operation;
