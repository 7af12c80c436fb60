-- the way back of 0009_legal_hold
drop table legal_hold;
