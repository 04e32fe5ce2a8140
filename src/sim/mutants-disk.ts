import { masked, mutant, type Mutant } from "./mutation.ts";

const ANNOUNCED = "sync/announced.ts";
const PROGRESS = "sync/progress.ts";
const PUBLISH = "sync/publish.ts";
const STEPS = "sync/steps.ts";
const SWEEP = "sync/sweep.ts";
const DOORS = "sim/disk-doors.ts";

const HELD_IS_LEFT = [
  SWEEP,
  'held === null ? "other" : await this.#judge(entry, held, isOld, nowMs);',
  'held === null ? "other" : "same";',
] as const;

const NO_LOOK_AFTER_HOLD = [
  PUBLISH,
  "  if (stat?.file === local.file && sameBytesStamp(stat.stamp, local.stamp)) return held;",
  "  if (stat !== null) return held;",
] as const;

/** Steps on the disk. */
export const DISK_MUTANTS: readonly Mutant[] = [
  masked(
    "no-look-at-hold",
    mutant("no-look-before-hold", "What is displaced is not looked at before (EX3).", [
      PUBLISH,
      "  await expectSame(disk, path, local);\n",
      "",
    ]),
  ),
  masked(
    "held-is-left",
    mutant(
      "no-look-after-hold",
      "What was displaced is not looked at after (EX3).",
      NO_LOOK_AFTER_HOLD,
    ),
  ),
  mutant(
    "held-is-left",
    "What is written into a file that was displaced is never looked at (EX6).",
    HELD_IS_LEFT,
  ),
  mutant(
    "no-look-at-hold",
    "What was displaced is looked at neither at once nor later (EX3, EX6).",
    NO_LOOK_AFTER_HOLD,
    HELD_IS_LEFT,
  ),
  mutant("hold-purged-at-once", "What was displaced goes at the next sweep (EX6).", [
    SWEEP,
    "const PURGE_MS = 7 * 24 * 3_600_000;",
    "const PURGE_MS = 0;",
  ]),
  mutant(
    "publish-clobbers",
    "What is put in place takes the name of whatever stands there (EX2).",
    [
      PUBLISH,
      "    await disk.change.link(staged.path, path);",
      "    await disk.change.rename(staged.path, path);",
    ],
    [PUBLISH, "  await disk.change.remove(staged.path);\n", ""],
    [
      DOORS,
      "      if (!isPrivate(to) && target.inode !== null) {",
      "      if (!isPrivate(from) && target.inode !== null) {",
    ],
  ),
  mutant("stage-not-synced", "Staged bytes are not made durable before they get a name (EX7).", [
    DOORS,
    "      this.#disk.sync(inode);\n",
    "",
  ]),
  mutant("folders-not-synced", "Names are not made durable before they are on record (EX7).", [
    "sync/unsynced.ts",
    "    if (paths.size > 0) await this.#disk.change.syncFolders([...paths.values()]);\n",
    "",
  ]),
  mutant(
    "synced-before-durable",
    "What is about to be put in place counts as agreed on already (EX7).",
    [
      ANNOUNCED,
      "  return { ...row, displacing: row.local?.file ?? null, placing };",
      `  const synced = { parent, name, content, file: row.local?.file ?? staged.stat.file };
  return { ...row, synced, displacing: null, placing: null };`,
    ],
  ),
  masked(
    "another-inode-is-untouched",
    mutant("no-intent", "A displacement is not on record before it happens (EX4).", [
      PROGRESS,
      `    this.#world.trees.transaction(() => {
      for (const row of rows) this.#world.trees.put(row);
    });
    for (const row of rows) this.#draft.put(row);`,
      "    for (const row of rows) this.#draft.put(row);",
    ]),
  ),
  mutant("park-record-lost", "Where a parked node came from is not on record (EX1).", [
    PUBLISH,
    "  return { ...touched(parkedAt, moved, isSame ? content : null), parkedFrom: from };",
    "  return { ...touched(parkedAt, moved, isSame ? content : null), parkedFrom: null };",
  ]),
  masked(
    "second-names-in-park",
    mutant("stopped-move-is-left", "A move that stopped halfway leaves a second name (EX7).", [
      "sync/root.ts",
      "  await finishStoppedSteps(disk);\n",
      "",
    ]),
  ),
  masked(
    "stopped-move-is-left",
    mutant("second-names-in-park", "No look takes a move that stopped halfway for one (EX7).", [
      "sync/looking.ts",
      "    if (isFull || folders.has(PARK_NODE)) await finishStoppedSteps(this.#world.disk);\n",
      "",
    ]),
  ),
  mutant(
    "folder-removed-with-children",
    "A folder is removed although there is something in it (EX5).",
    [
      PUBLISH,
      '    if (codeOf(error) === "not-empty") throw raced(path);\n    throw error;',
      `    if (codeOf(error) !== "not-empty") throw error;
    const held = holdName(row.id, local, world.clock.nowMs());
    await world.disk.change.rename(path, joinPath(HOLD_FOLDER, held));`,
    ],
  ),
  mutant("executable-bit-lost", "A file arrives without its executable bit (DL4).", [
    "sync/stage.ts",
    "const stat = await disk.stage.finish(path, { sizeBytes, executable, mtimeMs });",
    "const stat = await disk.stage.finish(path, { sizeBytes, executable: false, mtimeMs });",
  ]),
  mutant("modification-time-lost", "A file arrives with another modification time (DL4).", [
    "sync/stage.ts",
    "const stat = await disk.stage.finish(path, { sizeBytes, executable, mtimeMs });",
    "const stat = await disk.stage.finish(path, { sizeBytes, executable, mtimeMs: 0 });",
  ]),
  mutant(
    "bytes-not-verified",
    "Bytes that come from elsewhere on this disk are put in place unverified (DL3).",
    [
      "sync/local-chunks.ts",
      "      if (toHex(digest.sha256(bytes)) === chunk) return bytes;",
      "      return bytes;",
    ],
    [
      "sync/stage.ts",
      "    if (hash === content.sha256) return { path, stat };",
      "    if (hash !== null) return { path, stat };",
    ],
  ),
  mutant(
    "stage-trusted",
    "What a stopped staging left is put in place unverified (DL3).",
    ["sync/stage.ts", "isOpen ? await disk.stage.open(path) : 0;", "await disk.stage.open(path);"],
    ["sync/stage.ts", "    return this.#isChunk(chunk, bytes);", "    return bytes.length > 0;"],
    [
      "sync/stage.ts",
      "    if (hash === content.sha256) return { path, stat };",
      "    if (hash !== null) return { path, stat };",
    ],
  ),
  masked(
    "moved-is-trusted",
    mutant("no-look-before-move", "A moved file counts as what it was when it was planned (EX3).", [
      PUBLISH,
      '  if (row.kind === "folder" || sameStamp(stat.stamp, local.stamp)) return local;',
      "  if (row.id !== null) return local;",
    ]),
  ),
  mutant("moved-is-trusted", "What the engine moved is not read again (EX3, SC8).", [
    PUBLISH,
    'racy: stat.kind === "file" };',
    "racy: false };",
  ]),
  mutant(
    "edit-after-publish-unseen",
    "What is saved right after a file was put in place is taken for it (EX3).",
    [
      PUBLISH,
      "  const found = placed(place, stat, isAsStaged ? content : null);",
      "  const found = placed(place, stat, isAsStaged ? content : content);",
    ],
  ),
  mutant(
    "chmod-vouches-for-bytes",
    "A changed executable bit vouches for bytes that nobody read (EX3).",
    [
      STEPS,
      "    if (after.file !== local.file || !sameBytesStamp(after.stamp, local.stamp)) {",
      "    if (after.file === null) {",
    ],
  ),
];
