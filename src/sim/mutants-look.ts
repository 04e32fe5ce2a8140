import { SENT_UNVERIFIED } from "./mutants-commit.ts";
import { masked, mutant, type Mutant } from "./mutation.ts";

const LOOK = "sync/look.ts";
const MATCH = "sync/match.ts";

const TORN = [
  "sim/virtual-reader.ts",
  `      if (!this.#isAs(inode, expected)) return { outcome: "changed" };
      const bytes = halves`,
  "      const bytes = halves",
] as const;

/** What happened on the disk. */
export const LOOK_MUTANTS: readonly Mutant[] = [
  mutant("unreadable-means-deleted", "What cannot be listed counts as empty (SC7).", [
    LOOK,
    `    if (base !== null) this.blinded.set(base, "unreadable");
    if (known?.local?.blind !== "unreadable") this.unsteady = true;`,
    `    for (const { id } of known === undefined ? [] : this.#trees.children("local", known.id)) {
      this.missing.add(id);
    }`,
  ]),
  masked(
    "unconfirmed-look-deletes",
    mutant("incomplete-look-deletes", "A look that was not whole proves absences (SC7).", [
      MATCH,
      "    if (this.#look.unsteady) absences.doubt();\n    else absences.judge();",
      "    absences.judge();",
    ]),
  ),
  mutant(
    "unconfirmed-look-deletes",
    "One look at everything proves that what lost its name is nowhere else (SC6).",
    [
      "sync/absence.ts",
      "    if (this.#missed.isFull && missedMs !== null) return true;",
      "    if (this.#missed.isFull) return true;",
    ],
  ),
  mutant("one-look-deletes", "One look is enough for a deletion (SC6).", [
    "sync/absence.ts",
    "    if (!isBelieved) return false;",
    "    if (local.missedMs === Number.NaN) return false;",
  ]),
  mutant(
    "inode-takes-node",
    "An inode that is seen twice takes its node along although the old name stands (SC2).",
    [
      MATCH,
      "      return this.#missing.has(row.id) || this.#look.vacated.has(row.id);",
      "      return true;",
    ],
    [MATCH, '    if (entry.kind !== "folder" && entry.links > 1) return undefined;\n', ""],
  ),
  mutant("inode-of-two-nodes", "One inode is bound to two nodes (SC5).", [
    MATCH,
    "    this.#disown(entry, id);\n",
    "",
  ]),
  mutant("no-birth-time", "An inode is known by its number alone, which others get later (SC2).", [
    "sim/virtual-disk.ts",
    "    return `${this.device}:${number}:${birthNs}`;",
    "    return `${this.device}:${number}:${birthNs * 0n}`;",
  ]),
  mutant(
    "save-by-rename-is-new",
    "A file that was saved by a rename is another node: its history is cut (SC1).",
    [
      MATCH,
      "      if (row.local?.name !== place.name || row.kind !== entry.kind) return false;",
      `      if (row.local?.name !== place.name || row.kind !== entry.kind) return false;
      if (row.kind === "file" && row.local.file !== entry.file) return false;`,
    ],
  ),
  mutant(
    "folder-by-path",
    "A folder that was renamed is another one, with all that is in it (SC4).",
    [
      MATCH,
      "        ? (this.#byInode(entry) ?? this.#byPath(place, entry))",
      "        ? this.#byPath(place, entry)",
    ],
  ),
  mutant("ctime-ignored", "An edit whose size and mtime were put back is not seen (SC8).", [
    LOOK,
    "    left.mtimeNs === right.mtimeNs &&\n    left.ctimeNs === right.ctimeNs\n",
    "    left.mtimeNs === right.mtimeNs\n",
  ]),
  masked(
    "read-at-once",
    mutant("racy-trusted", "A stamp as young as the reading proves what was read (RD1).", [
      "sync/reading.ts",
      "racy: isRacy(stamp, digested.beganMs) }",
      "racy: stamp === null }",
    ]),
  ),
  masked(
    "racy-trusted",
    mutant("read-at-once", "A file is read at once after its last change (RD1).", [
      "sync/reading.ts",
      "    const restedMs = Math.max(nowMs, changedMs + QUIET_MS);",
      "    const restedMs = nowMs;",
    ]),
  ),
  mutant("torn-read", "What changed while it was read counts as it was read (RD1).", TORN),
  mutant(
    "torn-read-sent",
    "What changed while it was read is committed as it was read (RD1, UP2).",
    TORN,
    ...SENT_UNVERIFIED,
  ),
  mutant("link-followed", "A link is taken for what it leads to (SC7).", [
    "sim/disk-doors.ts",
    "      if (inode !== null) entries.push",
    '      if (inode !== null && inode.kind !== "symlink") entries.push',
  ]),
  mutant("hint-is-all", "What the watcher said nothing about is never looked at (SC9).", [
    "sync/looking.ts",
    "    if (hints.overflow) this.#everything = true;\n    const nowMs = clock.nowMs();",
    "    const nowMs = clock.nowMs();\n    if (this.#fullDueMs > 0) this.#everything = false;",
  ]),
];
