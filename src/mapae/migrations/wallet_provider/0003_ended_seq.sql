-- Ends are numbered in the order they were committed, so that whoever follows them needs no clock.
ALTER TABLE device ADD COLUMN ended_seq BIGINT;
UPDATE device SET ended_seq = numbered.seq
  FROM (
    SELECT device_id AS id, row_number() OVER (ORDER BY since, device_id) AS seq FROM device WHERE state = 'ended'
  ) AS numbered
  WHERE device.device_id = numbered.id;
DROP INDEX device_ended;
CREATE UNIQUE INDEX device_ended ON device (ended_seq);
