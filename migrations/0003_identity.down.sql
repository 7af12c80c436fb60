drop table enrolment;
drop table password_reset;
drop table api_key;
drop table refresh_token;
drop table session;
drop table app_user;
