-- Epochs go on where they were when a topic is deleted and made again under its name: nothing that was meant for the
-- old one is taken for the new one's.

CREATE TABLE retired_epochs (
    topic TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL -- the highest of the deleted topic's partitions
);
