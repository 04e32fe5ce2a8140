/**
 * The schema, one step a version: `version` counts the steps that were taken. A step that was
 * released never changes. Ids and hashes are bytes of half their hexadecimal length, and flags are
 * 0 and 1, so that rows are read by the same code as SQLite's. Rows of a space's tree have no
 * foreign key to it: whoever writes them has locked the space's row.
 */
const FIRST = `
CREATE TABLE accounts (
  id bytea PRIMARY KEY,
  name text NOT NULL,
  key text COLLATE "C" NOT NULL UNIQUE,
  opaque_record text NOT NULL,
  recovery_key text NOT NULL,
  created_ms bigint NOT NULL,
  bundle text NOT NULL,
  bundle_version bigint NOT NULL,
  keyring text NOT NULL,
  keyring_version bigint NOT NULL
);

CREATE TABLE devices (
  id bytea PRIMARY KEY,
  account bytea NOT NULL REFERENCES accounts (id),
  name text NOT NULL,
  created_ms bigint NOT NULL,
  last_seen_ms bigint,
  revoked integer NOT NULL
);
CREATE INDEX devices_account ON devices (account, created_ms, id);

CREATE TABLE tokens (
  hash bytea PRIMARY KEY,
  account bytea NOT NULL REFERENCES accounts (id),
  device bytea REFERENCES devices (id),
  label text NOT NULL,
  created_ms bigint NOT NULL,
  expires_ms bigint
);
CREATE INDEX tokens_account ON tokens (account);
CREATE INDEX tokens_device ON tokens (device) WHERE device IS NOT NULL;

CREATE TABLE joins (
  hash bytea PRIMARY KEY,
  account bytea NOT NULL REFERENCES accounts (id),
  expires_ms bigint NOT NULL,
  -- A JSON array of texts.
  messages text NOT NULL
);
CREATE INDEX joins_expiry ON joins (expires_ms);

CREATE TABLE attempts (
  key text COLLATE "C" PRIMARY KEY,
  used integer NOT NULL,
  until_ms bigint NOT NULL
);
CREATE INDEX attempts_until ON attempts (until_ms);

-- What the server drew once for itself.
CREATE TABLE drawn (
  name text PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE spaces (
  id bytea PRIMARY KEY,
  account bytea NOT NULL REFERENCES accounts (id),
  name text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  folding integer NOT NULL,
  epoch text NOT NULL,
  cut_key text NOT NULL,
  created_ms bigint NOT NULL,
  head bigint NOT NULL,
  chain bytea NOT NULL,
  key_epoch integer NOT NULL DEFAULT 0,
  key_epoch_sequence bigint NOT NULL DEFAULT 0,
  -- Where the journal was when copies were put back and that was announced: a JSON array.
  restores text NOT NULL DEFAULT '[]',
  UNIQUE (account, name)
);

-- An entry's JSON stands without its chunk ids; they follow one another in chunks.
CREATE TABLE journal (
  space bytea NOT NULL REFERENCES spaces (id),
  sequence bigint NOT NULL,
  commit_id bytea NOT NULL,
  chain bytea NOT NULL,
  entry text NOT NULL,
  chunks bytea NOT NULL,
  PRIMARY KEY (space, sequence),
  UNIQUE (space, commit_id)
);

CREATE TABLE refusals (
  space bytea NOT NULL REFERENCES spaces (id),
  commit_id bytea NOT NULL,
  answer text NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (space, commit_id)
);
CREATE INDEX refusals_age ON refusals (at_ms);

-- What a node held from a sequence on: written once, pointed at by the node and its revisions.
CREATE TABLE contents (
  space bytea NOT NULL,
  node bytea NOT NULL,
  sequence bigint NOT NULL,
  meta text NOT NULL,
  chunks bytea NOT NULL,
  lengths bytea,
  PRIMARY KEY (space, node, sequence)
);

CREATE TABLE nodes (
  space bytea NOT NULL,
  id bytea NOT NULL,
  type text NOT NULL,
  parent bytea NOT NULL,
  name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  content bigint NOT NULL,
  crev bigint NOT NULL,
  lrev bigint NOT NULL,
  changed bigint NOT NULL,
  deleted integer NOT NULL,
  PRIMARY KEY (space, id)
);
CREATE UNIQUE INDEX nodes_name ON nodes (space, parent, key) WHERE deleted = 0;
CREATE INDEX nodes_child ON nodes (space, parent, id) WHERE deleted = 0;
CREATE INDEX nodes_changed ON nodes (space, changed, id);
CREATE INDEX nodes_trash ON nodes (space, changed, id) WHERE deleted = 1;

CREATE TABLE revisions (
  space bytea NOT NULL,
  id bytea NOT NULL,
  sequence bigint NOT NULL,
  type text NOT NULL,
  parent bytea NOT NULL,
  name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  content bigint NOT NULL,
  crev bigint NOT NULL,
  lrev bigint NOT NULL,
  deleted integer NOT NULL,
  time_ms bigint NOT NULL,
  device bytea,
  PRIMARY KEY (space, id, sequence)
);

CREATE TABLE packs (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE chunks (
  id bytea PRIMARY KEY,
  pack bigint NOT NULL REFERENCES packs (number),
  offset_bytes bigint NOT NULL,
  length_bytes bigint NOT NULL
);
CREATE INDEX chunks_pack ON chunks (pack);

-- A space's claim on a chunk: staged until lease_ms, or linked for good when that is null.
CREATE TABLE links (
  space bytea NOT NULL REFERENCES spaces (id),
  chunk bytea NOT NULL REFERENCES chunks (id),
  lease_ms bigint,
  PRIMARY KEY (space, chunk)
);
CREATE INDEX links_chunk ON links (chunk);
CREATE INDEX links_lease ON links (lease_ms) WHERE lease_ms IS NOT NULL;
`;

/** Chunks whose bytes were found damaged or gone. */
const QUARANTINE = `
ALTER TABLE chunks ADD COLUMN quarantined integer NOT NULL DEFAULT 0;
CREATE INDEX chunks_quarantined ON chunks (id) WHERE quarantined = 1;
`;

/**
 * What collecting needs: which entry named a chunk last, which contents are forgotten, how large a
 * pack is and since when nothing lies in it, objects without a row, and whose turn it is.
 */
const COLLECTION = `
ALTER TABLE links ADD COLUMN touched bigint NOT NULL DEFAULT 0;
ALTER TABLE contents ADD COLUMN forgotten integer NOT NULL DEFAULT 0;
ALTER TABLE packs ADD COLUMN size_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE packs ADD COLUMN doomed_ms bigint;
UPDATE packs p SET size_bytes = c.ends FROM
  (SELECT pack, max(offset_bytes + length_bytes) AS ends FROM chunks GROUP BY pack) c
  WHERE c.pack = p.number;
CREATE TABLE strays (
  name text COLLATE "C" PRIMARY KEY,
  seen_ms bigint NOT NULL
);
CREATE TABLE turns (
  name text COLLATE "C" PRIMARY KEY,
  holder text NOT NULL,
  until_ms bigint NOT NULL
);
`;

export const MIGRATIONS: readonly string[] = [FIRST, QUARANTINE, COLLECTION];
