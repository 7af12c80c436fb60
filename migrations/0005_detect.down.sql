drop table named_location;
drop table profile_session;
drop table profile_place;
drop table profile_device;
drop table profile_source;
drop table detect_cursor;
drop table finding;
