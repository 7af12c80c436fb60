drop table user_role;
drop table role;
