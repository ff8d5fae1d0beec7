-- The cause of a gap: lost, compacted (the queue is meant to forget), or skipped (a topic was told to begin behind it). Until
-- now the beginning of the reason said it.

ALTER TABLE gaps ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT 'lost';
UPDATE gaps SET kind = 'compacted' WHERE reason LIKE 'compacted: %';
UPDATE gaps SET kind = 'skipped' WHERE reason LIKE 'skipped: %';
