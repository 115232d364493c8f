-- A phone that has ended takes its sessions along, also those that have fetched nothing yet.

CREATE INDEX wallet_session_device ON wallet_session (device) WHERE state IN ('live', 'suspended');
