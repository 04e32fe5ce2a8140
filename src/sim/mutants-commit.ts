import { mutant, type Mutant } from "./mutation.ts";

const FOLLOW = "sync/follow.ts";
const SEND = "sync/send.ts";
const JUDGE = "server/judge.ts";
const JOURNAL = "server/journal.ts";

const NO_CONTENT_BASE = [
  JUDGE,
  "  if (crev !== undefined && crev !== row.crev) return",
  "  if (crev === 0) return",
] as const;

const NO_PLACE_BASE = [
  JUDGE,
  "  if (lrev !== undefined && lrev !== row.lrev) return",
  "  if (lrev === 0) return",
] as const;

const GAP_ACCEPTED = [
  FOLLOW,
  "    if (entry.sequence !== sequence + 1) {",
  '    if (chain === "") {',
] as const;

const CHAIN_ACCEPTED = [
  FOLLOW,
  "    if (nextChain(this.#world.digest, chain, rest) !== claimed) {",
  '    if (nextChain(this.#world.digest, chain, rest) === "") {',
] as const;

const FEED_SKIPS = [
  JOURNAL,
  "    const reached = entries.at(-1)?.sequence ?? from;",
  `    const reached = entries.at(-1)?.sequence ?? from;
    const lost = entries.findIndex(({ sequence }) => sequence % 4 === 0);
    if (lost !== -1 && lost < entries.length - 1) entries.splice(lost, 1);`,
] as const;

const PAGE_TWICE = [
  [
    "sync/feeder.ts",
    "          this.#pages.push({ cursor, feed });",
    "          this.#pages.push({ cursor, feed }, { cursor, feed });",
  ],
  [FOLLOW, "      if (at.cursor !== cursor) return false;\n", ""],
] as const;

const LACKING_CHUNKS_ACCEPTED = [
  [JUDGE, "    findMissingChunks(draft, view) ??\n    findWrongLength(draft, view) ?? {", "    {"],
  ["server/metadata/sqlite-append.ts", '    if (!held) return "missing-chunks";\n', ""],
  [
    "sim/memory-journals.ts",
    '    if (chunks.some((chunk) => !at.links.has(chunk))) return "missing-chunks";\n',
    "",
  ],
] as const;

/** Bytes are stored and given out under whatever id they come with. */
export const SENT_UNVERIFIED = [
  [
    "sync/upload.ts",
    "    if (!world.seal.hashes) mustBeSame(world, frames, file.node);",
    "    if (frames.length === 0) mustBeSame(world, frames, file.node);",
  ],
  [
    "sync/sealed-remote.ts",
    "    if (changed !== undefined) throw",
    '    if (changed?.id === "") throw',
  ],
  [
    "server/intake.ts",
    "    if (toHex(this.#world.digest.sha256(bytes)) !== id) {",
    "    if (id.length === 0) {",
  ],
  [
    "server/pack-reading.ts",
    "(frame) => toHex(digest.sha256(frame.bytes)) === frame.id)",
    "(frame) => frame.bytes.length > 0)",
  ],
] as const;

/** Commits, the journal, and what each device knows of it. */
export const COMMIT_MUTANTS: readonly Mutant[] = [
  mutant("no-base-check", "The server compares no revision (JN).", NO_CONTENT_BASE, NO_PLACE_BASE),
  mutant("no-content-base-check", "The server does not compare crev (JN).", NO_CONTENT_BASE),
  mutant("no-place-base-check", "The server does not compare lrev (JN).", NO_PLACE_BASE),
  mutant(
    "deletion-without-base",
    "The server deletes whatever the revision is (JN).",
    [
      JUDGE,
      'step.kind === "delete" ? step.change.crev : step',
      'step.kind === "delete" ? row.crev : step',
    ],
    [
      JUDGE,
      'step.kind === "delete" ? step.change.lrev : step',
      'step.kind === "delete" ? row.lrev : step',
    ],
  ),
  mutant(
    "commit-not-idempotent",
    "The same commit id is judged anew each time (SE3).",
    [JOURNAL, "      if (known !== undefined) return known;\n", ""],
    [
      JOURNAL,
      "        return (await journals.answered(space.id, commit.commitId)) ?? verdict;",
      "        return verdict;",
    ],
  ),
  mutant("refusals-forgotten", "A refused commit may land when it comes again (SE3).", [
    JOURNAL,
    "        await journals.rememberRefusal(space.id, commit.commitId, verdict, author.nowMs);\n",
    "",
  ]),
  mutant("name-of-two", "The server lets two nodes have one name (JN).", [
    JUDGE,
    "    findTakenName(draft, view) ??\n",
    "",
  ]),
  mutant("parent-gone-accepted", "The server puts nodes into folders that are gone (JN).", [
    JUDGE,
    "    findLostParent(draft, view) ??\n",
    "",
  ]),
  mutant("orphans-accepted", "The server deletes a folder that has children (JN).", [
    JUDGE,
    "    findOrphans(view) ??\n",
    "",
  ]),
  mutant("contents-not-sent", "A commit goes before its contents (SE1).", [
    "sync/upload.ts",
    "  if (ids.size === 0) return [];",
    "  if (ids.size !== -1) return [];",
  ]),
  mutant(
    "commit-without-chunks",
    "A commit goes before its contents, and the server accepts it (SE1).",
    ["sync/upload.ts", "  if (ids.size === 0) return [];", "  if (ids.size !== -1) return [];"],
    ...LACKING_CHUNKS_ACCEPTED,
  ),
  mutant(
    "sent-bytes-not-verified",
    "What is sent is not compared with its id, on neither end (UP2).",
    ...SENT_UNVERIFIED,
  ),
  mutant(
    "agreed-before-read-back",
    "What was sent counts as agreed on before it is read back (FO1).",
    [
      SEND,
      "    this.#world.trees.transaction(() => writeSent(this.#world.records, sent));",
      `    this.#world.trees.transaction(() => {
      writeSent(this.#world.records, sent);
      for (const { id } of ready) {
        const row = this.#world.trees.get(id);
        if (!row?.local?.content) continue;
        const { parent, name, content, file } = row.local;
        const { crev = 0, lrev = 0 } = row.remote ?? {};
        const synced = { parent, name, content, file, crev, lrev };
        this.#world.trees.put({ ...row, synced });
      }
    });`,
    ],
  ),
  mutant("sent-not-stored", "A commit is not on record before it is sent (SE3).", [
    SEND,
    "    this.#world.trees.transaction(() => writeSent(this.#world.records, sent));\n",
    "",
  ]),
  mutant("retry-under-new-id", "What is sent again gets another commit id (SE3).", [
    SEND,
    '    return sent === null ? { kind: "nothing" } : this.#commit(sent, signal);',
    `    if (sent === null) return { kind: "nothing" };
    const id = commitId(toHex(this.#world.chance.bytes(16)));
    return this.#commit({ ...sent, commit: { ...sent.commit, commitId: id } }, signal);`,
  ]),
  mutant(
    "cursor-before-tree",
    "The cursor is stored, then the tree: a crash between loses a page (FO1).",
    [
      FOLLOW,
      "    return trees.transaction(() => {\n      const at = this.position;",
      `    const at = this.position;
    const last = feed.entries.at(-1);
    if (at.cursor === cursor && last !== undefined) {
      const { sequence, chain } = last;
      trees.transaction(() => writePosition(records, { cursor: feed.cursor, sequence, chain }));
    }
    return trees.transaction(() => {`,
    ],
  ),
  mutant("page-applied-twice", "A page that comes twice is applied twice (FO1).", ...PAGE_TWICE),
  mutant(
    "page-applied-twice-unnoticed",
    "A page that comes twice is applied twice, whatever its entries follow (FO1, FO5).",
    ...PAGE_TWICE,
    GAP_ACCEPTED,
    CHAIN_ACCEPTED,
  ),
  mutant("feed-skips", "The server leaves out an entry now and then (FO5).", FEED_SKIPS),
  mutant(
    "gap-accepted",
    "A gap in the journal is accepted, and the server makes some (FO5).",
    FEED_SKIPS,
    GAP_ACCEPTED,
    CHAIN_ACCEPTED,
  ),
  mutant(
    "older-database-ignored",
    "A commit of this device that its database does not know is ignored (EN3).",
    [FOLLOW, "    if (own === null && entry.device === device) this.#expectKnown(entry);\n", ""],
  ),
  mutant("restore-ignored-by-cursor", "A cursor of before a restore is valid after it (JN21).", [
    "server/cursor.ts",
    '  if (parts?.[1] !== epoch || sequence > headSequence) return "reset";',
    '  if (parts?.[1] === "" || sequence > headSequence) return "reset";',
  ]),
  mutant(
    "restore-ignored",
    "Nobody notices that the server was restored (EN3).",
    [
      "server/cursor.ts",
      '  if (parts?.[1] !== epoch || sequence > headSequence) return "reset";\n  return sequence;',
      "  return parts?.[1] === epoch ? sequence : Math.min(sequence, headSequence);",
    ],
    [
      JOURNAL,
      "    if ((await journals.chainAt(space.id, base.sequence)) !== base.chain) {",
      '    if (base.chain === "") {',
    ],
    GAP_ACCEPTED,
    CHAIN_ACCEPTED,
  ),
  mutant("rewind-trusts-later", "What was agreed on in the lost journal counts (SL18).", [
    "sync/rewind.ts",
    "  if (crev <= sequence && lrev <= sequence) return synced;",
    "  if (remote !== null) return synced;",
  ]),
  mutant("rewind-brings-back", "What was deleted in the lost journal comes back (SL18).", [
    "sync/rewind.ts",
    "waiting?.has(id) === false;",
    "waiting?.has(id) === undefined;",
  ]),
  mutant("union-deletes", "What was agreed on before a union still counts after it (EN3).", [
    "sync/union.ts",
    "      trees.put({ ...row, remote: null, synced: null, displacing: null, placing: null });",
    "      trees.put({ ...row, remote: null, displacing: null, placing: null });",
  ]),
  mutant(
    "agreed-revision-kept",
    "What was sent is agreed on under the revision that was agreed on before (PL18).",
    [
      FOLLOW,
      "    return { ...row, synced: { ...synced, content, file: inode, crev } };",
      "    return { ...row, synced: { ...synced, content, file: inode } };",
    ],
  ),
  mutant("revision-not-followed", "An update leaves the revision of its content as it was (FO1).", [
    FOLLOW,
    "        const remote = { ...row.remote, ...opened, crev: sequence };",
    "        const remote = { ...row.remote, ...opened };",
  ]),
  mutant("pauses-never-end", "A step that failed is never tried again (EN4).", [
    "sync/pauses.ts",
    "    return pause !== undefined && pause.untilMs > this.#clock.nowMs();",
    "    return pause !== undefined && pause.pauseMs > 0;",
  ]),
  mutant("commits-not-announced", "Those who wait are not told of a commit (JN).", [
    JOURNAL,
    "      this.#announcer.announce(space.id, entry.sequence);\n",
    "",
  ]),
  mutant("other-chunk-sent", "A chunk is sent for another one's id (DL3).", [
    "server/pack-reading.ts",
    "    const from = at - offsetBytes;",
    "    const from = (at - offsetBytes) >> 1;",
  ]),
  mutant("growth-is-not-told", "A waiting request is answered without what came (JN22).", [
    "server/http/feed.ts",
    "    if (!grown) return feed;",
    "    if (!grown || leftMs > 0) return feed;",
  ]),
  mutant("landed-is-a-conflict", "A commit that landed is answered as one that did not (HC2).", [
    "server/http/commits.ts",
    'context.json(outcome, outcome.outcome === "committed" ? 200 : 409);',
    'context.json(outcome, outcome.outcome === "committed" ? 409 : 200);',
  ]),
];
