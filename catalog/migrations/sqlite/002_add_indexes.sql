-- For retention by age, and for finding groups that stopped reading.
CREATE INDEX idx_segments_created_at ON segments (created_at);
CREATE INDEX idx_consumer_offsets_committed_at ON consumer_offsets (committed_at);
