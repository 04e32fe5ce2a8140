/**
 * The schema, one step a version: `PRAGMA user_version` counts the steps that were taken. A step
 * that was released never changes. Ids and hashes are BLOBs of half their hexadecimal length.
 */
const FIRST = `
CREATE TABLE accounts (
  id BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  key TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
  id BLOB PRIMARY KEY,
  account BLOB NOT NULL REFERENCES accounts (id),
  name TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  last_seen_ms INTEGER,
  revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_account ON devices (account, created_ms, id);

CREATE TABLE tokens (
  hash BLOB PRIMARY KEY,
  account BLOB NOT NULL REFERENCES accounts (id),
  device BLOB REFERENCES devices (id),
  label TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_account ON tokens (account);
CREATE INDEX tokens_device ON tokens (device) WHERE device IS NOT NULL;

CREATE TABLE joins (
  hash BLOB PRIMARY KEY,
  account BLOB NOT NULL REFERENCES accounts (id),
  space TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the server drew once for itself.
CREATE TABLE drawn (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE spaces (
  id BLOB PRIMARY KEY,
  account BLOB NOT NULL REFERENCES accounts (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  folding INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  cut_key TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  head INTEGER NOT NULL,
  chain BLOB NOT NULL,
  UNIQUE (account, name)
) STRICT, WITHOUT ROWID;

-- An entry's JSON stands without its chunk ids; they follow one another in chunks.
CREATE TABLE journal (
  space BLOB NOT NULL REFERENCES spaces (id),
  sequence INTEGER NOT NULL,
  commit_id BLOB NOT NULL,
  chain BLOB NOT NULL,
  entry TEXT NOT NULL,
  chunks BLOB NOT NULL,
  PRIMARY KEY (space, sequence),
  UNIQUE (space, commit_id)
) STRICT;

CREATE TABLE refusals (
  space BLOB NOT NULL REFERENCES spaces (id),
  commit_id BLOB NOT NULL,
  answer TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (space, commit_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_age ON refusals (at_ms);

-- What a node held from a sequence on: written once, pointed at by the node and its revisions.
CREATE TABLE contents (
  space BLOB NOT NULL REFERENCES spaces (id),
  node BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  meta TEXT NOT NULL,
  chunks BLOB NOT NULL,
  lengths BLOB,
  PRIMARY KEY (space, node, sequence)
) STRICT;

CREATE TABLE nodes (
  space BLOB NOT NULL REFERENCES spaces (id),
  id BLOB NOT NULL,
  type TEXT NOT NULL,
  parent BLOB NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  content INTEGER NOT NULL,
  crev INTEGER NOT NULL,
  lrev INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  PRIMARY KEY (space, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX nodes_name ON nodes (space, parent, key) WHERE deleted = 0;
CREATE INDEX nodes_child ON nodes (space, parent, id) WHERE deleted = 0;
CREATE INDEX nodes_changed ON nodes (space, changed, id);
CREATE INDEX nodes_trash ON nodes (space, changed, id) WHERE deleted = 1;

CREATE TABLE revisions (
  space BLOB NOT NULL REFERENCES spaces (id),
  id BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL,
  parent BLOB NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  content INTEGER NOT NULL,
  crev INTEGER NOT NULL,
  lrev INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  device BLOB,
  PRIMARY KEY (space, id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE packs (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE chunks (
  id BLOB PRIMARY KEY,
  pack INTEGER NOT NULL REFERENCES packs (number),
  offset_bytes INTEGER NOT NULL,
  length_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX chunks_pack ON chunks (pack);

-- A space's claim on a chunk: staged until lease_ms, or linked for good when that is null.
CREATE TABLE links (
  space BLOB NOT NULL REFERENCES spaces (id),
  chunk BLOB NOT NULL REFERENCES chunks (id),
  lease_ms INTEGER,
  PRIMARY KEY (space, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_chunk ON links (chunk);
CREATE INDEX links_lease ON links (lease_ms) WHERE lease_ms IS NOT NULL;
`;

/** Sealed spaces: which keys commits are closed with, and the head when they began to be. */
const SEALED_SPACES = `
ALTER TABLE spaces ADD COLUMN key_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN key_epoch_sequence INTEGER NOT NULL DEFAULT 0;
`;

/** Passwords that the server never sees, and what an account keeps here closed. */
const SEALED_ACCOUNTS = `
ALTER TABLE accounts RENAME COLUMN password_hash TO opaque_record;
ALTER TABLE accounts ADD COLUMN recovery_key TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN bundle TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN bundle_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN keyring TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN keyring_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE joins ADD COLUMN package TEXT NOT NULL DEFAULT '';
`;

/** A code's package became an exchange; what was left of ten minutes is made again. */
const JOIN_MESSAGES = `
DROP TABLE joins;
CREATE TABLE joins (
  hash BLOB PRIMARY KEY,
  account BLOB NOT NULL REFERENCES accounts (id),
  expires_ms INTEGER NOT NULL,
  -- A JSON array of texts.
  messages TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX joins_expiry ON joins (expires_ms);
`;

/** Where journals were when older copies were put back and that was announced: a JSON array. */
const RESTORES = `
ALTER TABLE spaces ADD COLUMN restores TEXT NOT NULL DEFAULT '[]';
`;

/** Chunks whose bytes were found damaged or gone. */
const QUARANTINE = `
ALTER TABLE chunks ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
CREATE INDEX chunks_quarantined ON chunks (id) WHERE quarantined = 1;
`;

/**
 * What collecting needs: which entry named a chunk last, which contents are forgotten, how large a
 * pack is and since when nothing lies in it, objects without a row, and whose turn it is.
 */
const COLLECTION = `
ALTER TABLE links ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contents ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
ALTER TABLE packs ADD COLUMN size_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE packs ADD COLUMN doomed_ms INTEGER;
UPDATE packs SET size_bytes = coalesce(
  (SELECT max(offset_bytes + length_bytes) FROM chunks WHERE pack = number), 0);
CREATE TABLE strays (
  name TEXT PRIMARY KEY,
  seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE turns (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

export const MIGRATIONS: readonly string[] = [
  FIRST,
  SEALED_SPACES,
  SEALED_ACCOUNTS,
  JOIN_MESSAGES,
  RESTORES,
  QUARANTINE,
  COLLECTION,
];

/** "LKST": marks the file as ours in SQLite's header. */
export const APPLICATION_ID = 0x4c4b5354;
