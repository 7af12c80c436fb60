-- the way back of 0006_respond
drop table notification, evidence, protected_entity, address_block, response_action, incident_timeline,
    incident_finding, incident_entity, incident, incident_counter;
