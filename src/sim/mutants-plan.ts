import { mutant, type Mutant } from "./mutation.ts";

const NORMALISE = "sync/normalise.ts";
const TARGET = "sync/target.ts";

const WITHOUT_SPLITTING = [
  NORMALISE,
  `!sameBody(local.content, remote.content)) {
    return rebound(draft, row, fresh);`,
  `!sameBody(local.content, remote.content)) {
    return false;`,
] as const;

const NO_RING_UNDONE = [
  TARGET,
  "    const undone = this.#undoCycles();\n",
  '    const undone: string = "nothing";\n',
] as const;

const NO_RING_REFUSED = ["server/judge.ts", "    findCycle(draft, view) ??\n", ""] as const;

/** A file that a person put in place of the synced one counts as that one. */
const ANY_INODE = [
  [NORMALISE, "    local.file !== synced.file\n  );", "    false\n  );"],
  [
    NORMALISE,
    "  const bodyMoved = !sameBody(local.content, synced.content) || local.file !== synced.file;",
    "  const bodyMoved = !sameBody(local.content, synced.content);",
  ],
] as const;

/** Who wins. */
export const PLAN_MUTANTS: readonly Mutant[] = [
  mutant(
    "later-edit-overwrites",
    "Of two edits the later one overwrites the first (PL3).",
    WITHOUT_SPLITTING,
  ),
  mutant(
    "conflict-without-copy",
    "Of two edits the first committed replaces the other, and no copy is made (PL3).",
    WITHOUT_SPLITTING,
    [
      TARGET,
      "const isMine = row.local !== null && !sameBody(mine, synced.content);",
      "const isMine = row.local !== null && sameBody(remote.content, synced.content);",
    ],
  ),
  mutant(
    "deletion-beats-local-edit",
    "A deletion elsewhere takes a file that was edited here (PL4).",
    [
      NORMALISE,
      "  if (!isTouched(local, synced)) return false;\n  return rebound(draft, row, fresh);",
      "  return false;",
    ],
  ),
  mutant(
    "deletion-beats-remote-edit",
    "A deletion here is committed although somebody edited the file since (PL4).",
    [
      NORMALISE,
      "  if (!advanced) return false;",
      "  if (!advanced || row.displacing === null) return false;",
    ],
  ),
  mutant("deletion-beats-move", "A deletion elsewhere takes a file that was moved here (PL4).", [
    NORMALISE,
    "    !samePlace(localPlace(local), synced) ||\n",
    "",
  ]),
  mutant(
    "deletion-beats-folder-move",
    "A deletion elsewhere takes a folder that was moved here (PL7).",
    [
      NORMALISE,
      "    if (!samePlace(localPlace(local), synced)) keepSubtree(draft, row, fresh);\n    else if",
      "    if",
    ],
  ),
  mutant(
    "edit-lost-by-move",
    "An edit here is thrown away when the file was moved elsewhere (PL5).",
    [
      TARGET,
      "const isMine = row.local !== null && !sameBody(mine, synced.content);",
      `const isMine =
    row.local !== null && !sameBody(mine, synced.content) && samePlace(remote, synced);`,
    ],
  ),
  mutant("move-lost-by-edit", "A move here is undone when the file was edited elsewhere (PL5).", [
    TARGET,
    "return !samePlace(mine, synced) && remote.lrev === synced.lrev ? mine : remote;",
    `return !samePlace(mine, synced) &&
    remote.lrev === synced.lrev &&
    sameBody(remote.content, synced.content)
    ? mine
    : remote;`,
  ]),
  mutant("folder-goes-with-survivors", "A folder goes although something in it survives (PL8).", [
    TARGET,
    "    if (this.#keepParents(fresh)) return true;\n",
    "",
  ]),
  mutant(
    "executable-bit-overwritten",
    "An edit elsewhere undoes a change of the executable bit here (PL11).",
    [
      TARGET,
      "  return body.executable === executable ? body : { ...body, executable };",
      "  return executable === body.executable ? body : { ...body };",
    ],
  ),
  mutant("ring-on-device", "Two moves that close a ring are both planned (PL13).", NO_RING_UNDONE),
  mutant("ring-at-server", "The server accepts a move that closes a ring (JN).", NO_RING_REFUSED),
  mutant(
    "ring-everywhere",
    "Nobody minds a folder that stands below itself.",
    NO_RING_UNDONE,
    NO_RING_REFUSED,
  ),
  mutant(
    "names-differ-by-case",
    "In a folding space names that differ in case only count as two on a device (PL15).",
    [
      "sync/parts.ts",
      "  const nameKey = setup.folding ? foldName : plainNameKey;",
      "  const nameKey = plainNameKey;",
    ],
  ),
  mutant("equal-files-conflict", "Equal new files do not become one (PL14).", [
    TARGET,
    "    if (!sameBody(local.content, holder.remote.content)) return false;",
    '    if (holder.kind === "file") return false;',
  ]),
  mutant("conflict-name-taken", "A conflict name is taken although somebody has it (PL14).", [
    TARGET,
    "      if (!taken) return free;",
    "      return free;",
  ]),
  mutant("committed-before-on-disk", "What is not at its place on the disk is committed (PL17).", [
    "sync/planner.ts",
    "    if (this.#blocked.has(row.id)) return [];\n",
    "",
  ]),
  mutant("unseen-is-planned", "What cannot be seen is planned on as it was last seen (PL9).", [
    "sync/blindness.ts",
    "      return row.local.blind !== null || this.#isBlindFolder(row.local.parent);",
    "      return this.#isBlindFolder(row.local.parent);",
  ]),
  mutant(
    "another-inode-is-untouched",
    "A file that a person put in place of the synced one counts as that one (N2', N3).",
    ...ANY_INODE,
  ),
  mutant(
    "bytes-vouch-for-revision",
    "What was changed and changed back counts as unchanged where somebody edited it (PL18).",
    [
      NORMALISE,
      "  if (bodyMoved && remote.crev !== synced.crev && " +
        "!sameBody(local.content, remote.content)) {",
      `  const isTheirs = !sameBody(remote.content, synced.content);
  if (bodyMoved && isTheirs && !sameBody(local.content, remote.content)) {`,
    ],
  ),
  mutant(
    "undone-edit-is-level",
    "Whoever has the bytes of a revision is level with it, whatever came between (PL18).",
    [
      "sync/tree.ts",
      "  const isAsAgreed = synced?.crev === before.crev && " +
        "sameBody(before.content, after.content);",
      "  const isAsAgreed = synced !== null && sameBody(synced.content, after.content);",
    ],
  ),
  mutant(
    "undone-edit-is-deleted",
    "A deletion takes what was changed and changed back meanwhile (PL18).",
    [NORMALISE, "    remote.crev !== synced.crev ||\n    remote.lrev", "    remote.lrev"],
  ),
  mutant("undone-move-is-level", "A move undoes what was moved and moved back meanwhile (PL18).", [
    TARGET,
    "return !samePlace(mine, synced) && remote.lrev === synced.lrev ? mine : remote;",
    "return !samePlace(mine, synced) && samePlace(remote, synced) ? mine : remote;",
  ]),
];
