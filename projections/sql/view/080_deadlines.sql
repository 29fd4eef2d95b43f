-- What the sweep for overdue cases reads, and the filter for deadlines.
CREATE INDEX IF NOT EXISTS trainees_deadline ON trainees (deadline) WHERE NOT closed;
CREATE INDEX IF NOT EXISTS classes_deadline ON classes (deadline) WHERE NOT closed;
CREATE INDEX IF NOT EXISTS restrictions_deadline ON restrictions (deadline) WHERE NOT closed;
CREATE INDEX IF NOT EXISTS campaigns_deadline ON campaigns (deadline) WHERE NOT closed;
