import type { Command } from "commander";
import { WorldError } from "#core/errors.ts";
import { backUp, beginAnew, putBack, type BackupCount } from "#server/backup.ts";
import { counted, print, printJson } from "../output.ts";
import { audited } from "../server-audit.ts";
import { serverConfig } from "../server-settings.ts";
import { explain, folderArgument, jsonOption } from "../usage.ts";

type Options = {
  readonly data?: string;
  readonly database?: string;
  readonly chunks?: string;
  readonly json?: true;
};

/** The settings of the server that is meant, and where it keeps its data by them. */
function serverOf({ data, database, chunks }: Options) {
  const config = serverConfig({ data, database, chunks });
  if (config.database.kind !== "sqlite" || config.chunks.kind !== "file") {
    throw new WorldError(
      "bad-config",
      "Only a SQLite file and packs in a folder are copied here: a database server and a bucket " +
        "have their own ways.",
    );
  }
  const { database: metadata, chunks: packs } = config;
  return { config, places: { data: config.data, metadata: metadata.path, packs: packs.path } };
}

const packsText = ({ packs, copied }: BackupCount): string =>
  `${counted(packs, "pack")}, ${copied} of them new there`;

async function make(dir: string, options: Options): Promise<void> {
  const folder = folderArgument(dir);
  const { config, places } = serverOf(options);
  const count = await audited("backup-made", config, {
    run: () => backUp(places, folder),
    fieldsOf: (done) => done,
  });
  if (options.json) return printJson({ backup: folder, ...count });
  print(`${folder} is a backup of the server now: its database and ${packsText(count)}.`);
  print("master.key and key-service.key are not in it: keep copies of them somewhere else.");
}

async function restore(
  backup: string | undefined,
  options: Options & { readonly announce?: true },
): Promise<void> {
  const { config, places } = serverOf(options);
  const how = { isAnnounced: options.announce === true };
  const next = how.isAnnounced
    ? "Devices of sealed spaces ask once whether that is so, and go on then."
    : "Devices of sealed spaces will stop, as it is not announced (--announce).";
  if (backup === undefined) {
    const spaces = await audited("backup-restored", config, {
      run: () => beginAnew(places, how),
      fieldsOf: (begun) => ({ spaces: begun, announced: how.isAnnounced }),
    });
    if (options.json) return printJson({ data: places.data, spaces, announced: how.isAnnounced });
    print(
      `${counted(spaces, "space")} in ${places.data} ${spaces === 1 ? "begins" : "begin"} anew.`,
    );
  } else {
    const count = await audited("backup-restored", config, {
      run: () => putBack(folderArgument(backup), places, how),
      fieldsOf: (done) => ({ ...done, announced: how.isAnnounced }),
    });
    if (options.json) {
      return printJson({ data: places.data, ...count, announced: how.isAnnounced });
    }
    print(`${places.data} has the backup's database and ${packsText(count)}.`);
  }
  print(next);
}

export function register(command: Command): void {
  explain(command, {
    examples: [
      "lockstep backup /mnt/backups/lockstep",
      "lockstep backup restore /mnt/backup --data /srv/lockstep --announce",
    ],
  });
  const shared = (made: Command): Command =>
    made
      .option("--data <dir>", "the server's data folder (default: in LOCKSTEP_HOME)")
      .option("--database <url>", "sqlite:PATH (default: inside --data)")
      .option("--chunks <url>", "file:PATH (default: inside --data)")
      .addOption(jsonOption());
  explain(
    shared(
      command
        .command("make", { isDefault: true })
        .description("copy the server's data, also while it runs")
        .argument("<dir>", "the folder for the copy; what is there already is not copied again"),
    ),
    {
      examples: ["lockstep backup /mnt/backups/lockstep --data /srv/lockstep"],
      about:
        "The copy is of one moment and whole: the database, and every stored object that it " +
        "names. Until it is complete the folder holds the backup before. The keys are not in it: " +
        "without master.key a backup tells nothing, and is worth nothing.",
    },
  ).action(make);
  explain(
    shared(
      command
        .command("restore")
        .description("put a backup back, and tell devices of it")
        .argument("[backup]", "the copy; when left out, what lies in --data is the copy already"),
    ).option("--announce", "let devices of sealed spaces go on, by a person's word"),
    {
      examples: ["lockstep backup restore /mnt/backup --data /srv/lockstep --announce"],
      about:
        "With the server stopped, and the database that is to be replaced moved elsewhere: " +
        "nothing is written over. Then start the server with the same master.key. Devices send " +
        "again what the server has lost; what differs is kept twice, nothing is deleted. Without " +
        "--announce a device of a sealed space takes it for a server that cheats, and stops.",
    },
  ).action(restore);
}
